"""Credential plug-ins of a kubeconfig, such as ``aws eks get-token``: run the program, keep the token while it holds.

kubernetes.io, "Client authentication (v1)": client.authentication.k8s.io/v1 and v1beta1. For people and for the sync
door; the provider, which is root on its node, runs none.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from driver.errors import IdentityRefused, InvalidInput

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

TIMEOUT = 60.0
"""Seconds that a program may take: it may have to ask its own cloud."""

EARLY = 30.0
"""Seconds before its end at which a token is replaced."""

UNDATED = 60.0
"""Seconds for which a token is kept that does not say when it ends."""


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    expiration_timestamp: str | None = None


class _Credential(msgspec.Struct):
    status: _Status | None = None


class Plugin:
    """The token of one plug-in. Safe for many threads; the program runs when a token is first asked for.

    ``entry`` is the ``exec`` of a kubeconfig's user, ``folder`` the kubeconfig's. Raises InvalidInput for an entry that
    cannot be run.
    """

    def __init__(self, entry: Mapping[str, Any], folder: Path, *, wall: Callable[[], float] = time.time) -> None:
        if entry.get("apiVersion") not in VERSIONS:
            raise InvalidInput(
                "kubeconfig", "its credential plug-in speaks an unknown version", f"use {VERSIONS[0]} or v1beta1"
            )
        self._version = str(entry["apiVersion"])
        command = str(entry["command"])
        # A path is relative to the kubeconfig, a bare name is looked for in PATH
        self._command = [str(folder / command) if "/" in command else command, *map(str, entry.get("args") or ())]
        self._environ = {str(one["name"]): str(one["value"]) for one in entry.get("env") or ()}
        self._wall = wall
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def __call__(self) -> str:
        """Return a token that holds. Raises InvalidInput, IdentityRefused."""
        with self._lock:
            if self._wall() >= self._until:
                status = self._run()
                self._token, self._until = status.token, self._end(status)
            return self._token

    def _run(self) -> _Status:
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environ = {**os.environ, **self._environ, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        name = Path(self._command[0]).name
        subject = f"credential plug-in {name}"
        try:  # its stderr is the caller's: there it may say why it fails
            done = subprocess.run(  # noqa: S603 # the kubeconfig's owner chose this program
                self._command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=TIMEOUT,
                check=True,
            )
            status = msgspec.json.decode(done.stdout, type=_Credential).status or _Status()
        except OSError:
            raise InvalidInput(subject, "the kubeconfig's program cannot be run", f"install {name}") from None
        except subprocess.SubprocessError:
            raise IdentityRefused(subject, "it failed", "run the kubeconfig's command by hand") from None
        except msgspec.MsgspecError:
            raise IdentityRefused(subject, "its answer is no ExecCredential", "run it by hand") from None
        if not status.token:
            raise IdentityRefused(subject, "its answer has no token", "use a plug-in that returns tokens")
        return status

    def _end(self, status: _Status) -> float:
        try:
            return datetime.fromisoformat(status.expiration_timestamp or "").timestamp() - EARLY
        except ValueError:
            return self._wall() + UNDATED
