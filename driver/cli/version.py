"""``keyferry version``: what to write into a report."""

import argparse
import json
import platform
from importlib.metadata import version

from google.protobuf.internal import api_implementation
from tabulate import tabulate

from driver import __version__
from driver.mount.provider import API_VERSION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--output", choices=("text", "json"), default="text", help="for people (default) or machines")


def main(args: argparse.Namespace) -> int:
    """Print the versions."""
    found = versions()
    print(json.dumps(found, indent=2) if args.output == "json" else tabulate(found.items(), tablefmt="plain"))
    return 0


def versions() -> dict[str, str]:
    """Return the version of keyferry and of what decides how it behaves. Libraries are not imported for it."""
    return {
        "keyferry": __version__,
        "driver API": API_VERSION,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "grpcio": version("grpcio"),
        "protobuf": version("protobuf"),
        "protobuf implementation": api_implementation.Type(),
        "botocore": version("botocore"),
    }
