"""How many processor cores there are to compute on."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Return how many cores this process may use: a container or a scheduler may have given it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
