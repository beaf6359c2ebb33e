"""``keyferry provider``: the process of the DaemonSet, from its settings to its exit.

The socket is served before the rest is loaded: a node that starts has pods waiting for it, and a call that comes early
waits for the provider instead of being refused by the driver.
"""

import argparse
import importlib
import logging
import os
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from driver.cli.process import HOUSEKEEPING, begin
from driver.config import PROVIDER_OPTIONS, ProviderSettings, provider_settings
from driver.handover import Calls, Signals
from driver.mount.server import handlers
from driver.options import add_flags
from driver.serving import ProviderSocket, drain, grpc_server
from driver.telemetry import Sink

if TYPE_CHECKING:
    from driver.app.mount import MountDoor
    from driver.mount.provider import Provider

log = logging.getLogger(__name__)

OTHER_DIRECTORIES = (Path("/etc/kubernetes/secrets-store-csi-providers"),)
"""Where driver 1.6.0 looks for sockets before it looks into its ``--provider-volume``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of all settings."""
    add_flags(parser, PROVIDER_OPTIONS)


def main(args: argparse.Namespace) -> int:
    """Serve Mounts until SIGTERM. Raises a KeyferryError before anything is started when a setting is wrong."""
    settings = provider_settings(vars(args), os.environ)
    with ExitStack() as closing:
        signals, logs = begin(closing, level=settings.log_level, form=settings.log_format)
        return _serve(settings, signals, logs, closing)


def _serve(settings: ProviderSettings, signals: Signals, logs: Sink, closing: ExitStack) -> int:
    path = ProviderSocket(
        settings.provider_volume, settings.provider_name, others=OTHER_DIRECTORIES, pause=signals.pause
    )
    provider: Future[Provider] = Future()
    calls = Calls()
    server = grpc_server(handlers(provider.result), calls, workers=settings.workers)
    closing.callback(path.release)
    if not path.open(server):
        log.info("told to end while another process served the socket")
        return 0
    try:
        door = _door(settings, path, signals, logs)
    except BaseException as error:
        provider.set_exception(error)  # calls that wait get a final status, and the process ends
        drain(server, path, calls, grace=settings.grace)
        raise
    closing.callback(door.close)
    provider.set_result(door.provider)
    log.info("serving", extra={"socket": str(path.path)})
    while not signals.pause(HOUSEKEEPING):
        door.keep_house()
    door.provider.end_within(settings.grace)
    if drain(server, path, calls, grace=settings.grace):
        # a call that outlived the grace time has a thread that nothing can end, and the interpreter would wait for it
        door.close()
        logs.close()
        os._exit(0)
    return 0


def _door(settings: ProviderSettings, path: ProviderSocket, signals: Signals, logs: Sink) -> "MountDoor":
    app = importlib.import_module("driver.app.mount")  # most of what a start takes, and not needed to be found
    door: MountDoor = app.MountDoor(settings, os.environ, path, lambda: signals.seen > 0, logs)
    return door
