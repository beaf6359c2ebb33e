"""``keyferry sync``: the process of the Deployment, from its settings to its exit."""

import argparse
import logging
import os
import threading
from contextlib import ExitStack

from driver.cli.process import HOUSEKEEPING, begin
from driver.config import SYNC_OPTIONS, sync_settings
from driver.options import add_flags

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of all settings."""
    add_flags(parser, SYNC_OPTIONS)


def main(args: argparse.Namespace) -> int:
    """Sync until SIGTERM. Raises a KeyferryError before anything is started when a setting is wrong."""
    settings = sync_settings(vars(args), os.environ)
    from driver.app.sync import SyncDoor  # noqa: PLC0415 - wrong settings are told without loading it

    with ExitStack() as closing:
        signals, logs = begin(closing, level=settings.log_level, form=settings.log_format)
        door = SyncDoor(settings, os.environ, logs)
        closing.callback(door.close)
        stop = threading.Event()
        worker = threading.Thread(target=door.run, args=(stop,), name="controller")
        worker.start()
        log.info("syncing", extra={"metrics_port": door.port})
        while not signals.pause(HOUSEKEEPING):
            door.keep_house()
        stop.set()
        worker.join(30)
    return 0
