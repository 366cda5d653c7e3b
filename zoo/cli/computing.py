"""What commands that compute have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.garbage import importing


@contextmanager
def importing_torch() -> Iterator[None]:
    """Import torch and what needs it, for a process that computes and then ends."""
    from zoo.heap import keep_freed

    keep_freed()
    with importing():
        yield
