"""The process's own AWS credentials, as the SDK finds them: environment, profile, container, instance.

For people's commands and the sync door; never for a pod's mount. boto3 is imported when they are first asked for.
"""

import threading
from typing import TYPE_CHECKING

from driver.errors import IdentityRefused
from driver.model import Clock, Credentials

if TYPE_CHECKING:
    from botocore.credentials import Credentials as Found

HOLD = 300.0
"""Seconds until boto3, which renews them by itself, is asked again."""


class Ambient:
    """Finds the credentials once; boto3 keeps them new. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: Found | None = None

    def __call__(self) -> Credentials:
        """Return the credentials that hold now. Raises IdentityRefused if there are none."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - slow to import, and pods never need it

        now = self._clock()
        try:
            with self._lock:
                if self._found is None:
                    self._found = _find()
                frozen = self._found.get_frozen_credentials() if self._found else None
        except BotoCoreError:
            raise _none("they could not be had") from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise _none("there are none")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "", now + HOLD, now)


def _find() -> "Found | None":
    import boto3  # noqa: PLC0415 - slow to import, and pods never need it

    return boto3.Session().get_credentials()


def _none(cause: str) -> IdentityRefused:
    return IdentityRefused("AWS credentials of this process", cause, "log in, set AWS_PROFILE, or give the pod a role")
