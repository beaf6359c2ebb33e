"""``keyferry provider``: the process of the DaemonSet."""

import argparse
import os

from driver.config import PROVIDER_OPTIONS, add_flags, provider_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of all settings."""
    add_flags(parser, PROVIDER_OPTIONS)


def main(args: argparse.Namespace) -> int:
    """Serve until SIGTERM. Raises a KeyferryError before anything is started when a setting is wrong."""
    settings = provider_settings(vars(args), os.environ)
    # the imports behind the settings take most of the start; wrong settings are told without them
    from driver.app import run_provider  # noqa: PLC0415 - see above

    return run_provider(settings, os.environ)
