"""Prometheus metrics, in a registry of their own. Every label takes its words from a fixed set.

A word that is not in the set is counted as ``other``: no pod, secret or account can make a new time series.

tables.py    every metric: its name, meaning and labels
counting.py  what counts them
"""

from driver.metrics.counting import STALE_WINDOW, Metrics, MountMetrics, SyncMetrics
from driver.metrics.tables import METRICS, OPERATIONS, PROCESS_METRICS, SYNC_METRICS, Metric

__all__ = [
    "METRICS",
    "OPERATIONS",
    "PROCESS_METRICS",
    "STALE_WINDOW",
    "SYNC_METRICS",
    "Metric",
    "Metrics",
    "MountMetrics",
    "SyncMetrics",
]
