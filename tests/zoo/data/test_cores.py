"""The number of available CPU cores."""

from __future__ import annotations

import os

import pytest

from zoo.data.cores import count_cores


def test_only_cores_that_the_process_may_use_are_counted() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no CPU affinity")
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert count_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert count_cores() == len(allowed)
