"""What commands that compute have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.garbage import lasting


@contextmanager
def setting_up() -> Iterator[None]:
    """Import torch and what needs it, in a process that computes and then ends, and keeps meanwhile what it frees."""
    from zoo.engine.allocator import keep_freed

    keep_freed()
    with lasting():
        yield
