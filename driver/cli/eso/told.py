"""What a conversion tells, and what the caller of one chooses (pure)."""

import msgspec

SERVICES = {"secretsManager": "SecretsManager", "systemManager": "ParameterStore"}
"""``backendType`` of kubernetes-client.io → ``service`` of the External Secrets Operator's AWS provider."""

ESO_GROUP = "external-secrets.io"

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

SERVER_FIELDS = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp"}
)
"""Fields of ``metadata`` that an API server sets."""


class Options(msgspec.Struct, frozen=True):
    """What the caller chooses. ``interval``: seconds, where none is named. ``store`` empty: named by what it is."""

    interval: float = 60.0
    region: str = ""
    store: str = ""
    store_kind: str = "SecretStore"
    version: str = "v1"


class Told:
    """What a conversion tells, a line each: ``losses`` have no counterpart, ``notes`` are for the reader."""

    def __init__(self) -> None:
        self.losses: dict[str, None] = {}
        self.notes: dict[str, None] = {}

    def lose(self, subject: str, cause: str, remedy: str) -> None:
        """Tell of a field that has no counterpart."""
        self.losses[f"{subject}: {cause}: {remedy}"] = None

    def note(self, subject: str, cause: str, remedy: str) -> None:
        """Tell what is converted, and differs a little."""
        self.notes[f"{subject}: {cause}: {remedy}"] = None
