"""Garbage collection, where it is only in the way."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while something is made that stays: the more of it there is, the longer each look takes."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def lasting() -> Iterator[None]:
    """Make what stays until the process ends: torch and all that comes with it is imported in half the time.

    All that there is afterwards, of this and of whatever came before, is not looked through for garbage any more. At a
    usual end of the process it is again, for upstreams complain of what nobody puts away; `zoo.__main__` leaves that
    out.
    """
    with uncollected():
        yield
    gc.freeze()
    atexit.register(gc.unfreeze)
