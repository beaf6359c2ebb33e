"""From a plan and what was read for it to the Secrets that are wanted."""

from driver.sync import items, objects
from driver.sync.plan import Items, Reads, Rendering, SyncPlan


def render(plan: SyncPlan, reads: Reads) -> Rendering:
    """Return the wanted Secrets, those that are withheld, and each item's outcome. Raises no KeyferryError."""
    if isinstance(plan.content, Items):
        return items.render(plan, plan.content, reads)
    return objects.render(plan, plan.content, reads)
