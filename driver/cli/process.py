"""What the doors' processes have in common: signals, and logs that hold nothing up."""

from contextlib import ExitStack

from driver.handover import Signals
from driver.telemetry import Sink, log_to

HOUSEKEEPING = 30.0
"""Seconds between looks for what may be forgotten."""


def begin(closing: ExitStack, *, level: str, form: str) -> tuple[Signals, Sink]:
    """Take signals and send logs to stderr, until ``closing`` closes."""
    signals = Signals()
    closing.callback(signals.close)
    logs = Sink(2)
    closing.callback(logs.close)
    closing.callback(log_to(logs, level=level, form=form))
    return signals, logs
