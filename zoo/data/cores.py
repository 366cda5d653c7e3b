"""The number of CPU cores available to this process."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Return the number of CPU cores that this process may use. The machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
