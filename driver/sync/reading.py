"""What came of the wants of many plans: identity by identity, side by side, in as few calls as can be."""

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Protocol

from driver.errors import Internal, KeyferryError
from driver.fanout import Fanout
from driver.model import Access, AuthMethod, Deadline, Read, SecretRef, Want
from driver.sync import policy
from driver.sync.identity import Identities
from driver.sync.plan import Reads, SyncPlan
from driver.sync.roster import SourceKey

log = logging.getLogger(__name__)

WIDTH = 8
"""Identities of one batch that are asked side by side."""


class Reader(Protocol):
    """Reads values (``driver.resolve.Resolver``)."""

    def resolve(self, access: Access, wants: Sequence[Want], deadline: Deadline) -> dict[SecretRef, Read]:
        """Return a read for every want, or raise one KeyferryError for all that failed."""
        ...

    def prefetch(self, access: Access, refs: Sequence[SecretRef], deadline: Deadline) -> None:
        """Read what is not fresh in few calls; raise only what concerns the identity."""
        ...


class Reading:
    """Lives as long as the process; safe for many threads.

    ``permissions`` returns a namespace's annotations. Raises KeyferryError.
    """

    def __init__(
        self,
        reader: Reader,
        identities: Identities,
        fanout: Fanout,
        permissions: Callable[[str], Mapping[str, str]],
        rules: policy.Rules,
    ) -> None:
        self._reader = reader
        self._identities = identities
        self._fanout = fanout
        self._permissions = permissions
        self._rules = rules

    def read(self, plans: Mapping[SourceKey, SyncPlan], deadline: Deadline) -> dict[SourceKey, Reads | KeyferryError]:
        """Return for each plan what came of every want, or the one error for which nothing was asked."""
        outcomes: dict[SourceKey, Reads | KeyferryError] = {}
        groups: dict[Hashable, dict[SourceKey, SyncPlan]] = defaultdict(dict)
        for key, plan in plans.items():
            refused = self._refusal(plan)
            if refused is None:
                groups[identity_of(plan)][key] = plan
            else:
                outcomes[key] = refused
        for found in self._fanout.run([partial(self._group, each, deadline) for each in groups.values()], WIDTH):
            outcomes.update(found)
        return outcomes

    def _refusal(self, plan: SyncPlan) -> KeyferryError | None:
        try:
            return policy.verdict(plan, self._permissions(plan.origin.namespace), self._rules)
        except KeyferryError as error:
            return error

    def _group(self, plans: Mapping[SourceKey, SyncPlan], deadline: Deadline) -> dict[SourceKey, Reads | KeyferryError]:
        """Read for plans of one identity."""
        refs = dict.fromkeys(want.ref for plan in plans.values() for want in plan.wants)
        try:
            access = self._identities.access(next(iter(plans.values())))
            self._reader.prefetch(access, list(refs), deadline)
            return {key: self._resolved(access, plan.wants, deadline) for key, plan in plans.items()}
        except KeyferryError as error:
            return dict.fromkeys(plans, error)
        except Exception:
            log.exception("reading failed")
            return dict.fromkeys(plans, Internal())

    def _resolved(self, access: Access, wants: Sequence[Want], deadline: Deadline) -> Reads:
        try:
            return self._reader.resolve(access, wants, deadline)
        except KeyferryError as error:
            if len(wants) == 1:
                return {wants[0].ref: error}
        # tell the good from the bad: the good ones are fresh and cost nothing, the bad ones are remembered
        found: dict[SecretRef, Read | KeyferryError] = {}
        for want in wants:
            try:
                found.update(self._reader.resolve(access, (want,), deadline))
            except KeyferryError as error:
                found[want.ref] = error
        return found


def identity_of(plan: SyncPlan) -> Hashable:
    """Return what tells the identity of a plan's reads from others'."""
    own = plan.method is AuthMethod.AMBIENT
    account = ("", "") if own else (plan.origin.namespace, plan.service_account)
    return (plan.method, *account, plan.region, plan.failover_region, plan.address_type)
