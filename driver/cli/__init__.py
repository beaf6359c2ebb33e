"""Commands for people and for pods: one small module each, with ``add_arguments(parser)`` and ``main(args) -> int``.

A module is imported only when its command runs, so that the provider pays for nothing it does not need.

Exit codes: 0 done; 1 the answer is no (problems found, a Mount refused); 2 the command could not start (wrong settings,
a file that cannot be read).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from driver import __version__
from driver.errors import KeyferryError

COMMANDS: dict[str, str] = {
    "provider": "answer the Secrets Store CSI driver's Mount calls on a Unix socket (the DaemonSet)",
    "sync": "keep Kubernetes Secrets equal to AWS values, without any pod mounting them (the Deployment)",
    "lint": "check SecretProviderClass and ExternalSecret files: every problem, with file and line",
    "mount": "show what a pod would get: ask a running provider, or read AWS with your own credentials",
    "render": "show the Secrets that sync would write for a file, read with your own credentials",
    "convert": "turn ExternalSecrets into the External Secrets Operator's manifests, and back",
    "doctor": "check a cluster's set-up without changing it: driver, providers, classes, identities, Secrets",
    "policy": "print the least IAM policy and trust policy for a SecretProviderClass",
    "demo": "try a mount and a rotation on this machine, against an AWS stand-in",
    "version": "print the versions of keyferry and of what it stands on",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named by the arguments and return its exit code."""
    # grpcio's fork handlers cost a warning per subprocess; nothing here forks without exec
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="keyferry", description="Ferries AWS secrets into Kubernetes pods.")
    parser.add_argument("--version", action="version", version=f"keyferry {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        if name in arguments[:1]:
            importlib.import_module(f"driver.cli.{name}").add_arguments(command)
    args = parser.parse_args(arguments)
    try:
        return int(importlib.import_module(f"driver.cli.{args.command}").main(args))
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyferryError as error:
        print(f"keyferry: {error}", file=sys.stderr)
        return 2
