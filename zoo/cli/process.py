"""The process of a command: it starts fast, and it ends without taking itself apart.

Both save a second or two of each command that imports torch: torch and torchvision alone took 6.8 s without, 6.5 s with
the garbage collector off, 6.0 s with the end cut short, and 4.7 s with both.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from zoo.registry.registry import Registry


def run() -> NoReturn:
    """Run the command line, and end the process without tearing it down: with torch in it that takes a second."""
    from zoo.cli import main

    status: list[int] = []
    atexit.register(_end_at_once, status)  # called after all that is registered from here on: by torch, by trackers
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status.append(end.code or 0)
        raise


def _end_at_once(status: list[int]) -> None:
    """End here; if there is a message to print, or nobody reads the output any more, Python ends as usual."""
    if not status:
        return
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None if the shell closed it
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit(status[0])


@contextmanager
def computing() -> Iterator[Registry]:
    """Yield the registry in a process that has imported torch; what upstream prints meanwhile goes to stderr.

    From here on the process keeps the memory that it frees.
    """
    from zoo.registry.registry import open_registry

    registry = open_registry()  # before torch is imported, so that a plugin that imports it too early is found out
    with redirect_stdout(sys.stderr):
        with uncollected():
            import torchvision.transforms.v2  # type: ignore[import-untyped]  # noqa: F401  # and with it torch, which is slow

        from zoo.engine.allocator import keep_freed

        keep_freed()
        yield registry


@contextmanager
def uncollected() -> Iterator[None]:
    """Import what lives as long as the process: the garbage collector is off meanwhile, and never looks at it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
    gc.freeze()
    atexit.register(gc.unfreeze)  # at a usual end, upstreams complain of what nobody puts away
