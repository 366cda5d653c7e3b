"""The process of a command: a faster start and exit for commands that import torch.

Importing torch and torchvision and exiting takes 6.8 s. Turning off the garbage collector during the import saves
0.3 s, skipping the teardown of the interpreter saves 0.8 s, and both together save 2.1 s. `zoo.cli.deferred_compiler`
saves the import of torch's compiler.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, NoReturn

from zoo.cli.flags import name_flags
from zoo.data.collector import pausing_collector

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.registry import Registry


def run() -> NoReturn:
    """Run the command line and exit without tearing down the interpreter, which takes a second once torch is loaded."""
    # Listing all backbones creates many objects and no garbage. With the usual threshold of 700, the search for garbage
    # takes 7% of the processor time of `zoo list`.
    gc.set_threshold(50_000)
    from zoo.cli import main
    from zoo.cli.streams import prepare_streams, print_traceback

    prepare_streams()
    sys.excepthook = print_traceback
    status: list[int] = []
    # Exit functions run in reverse order, so this one runs after every one that torch and trackers register later.
    atexit.register(_exit_at_once, status)
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status.append(end.code or 0)
            _leave_plugins(status[0])
        raise


def _leave_plugins(status: int) -> None:
    """Exit even if a plugin's threads or exit handlers never finish."""
    from zoo.registry.plugins.exit_guard import has_stray_threads, watch_exit_handlers

    watch_exit_handlers(status)
    if has_stray_threads():  # Python would wait for them before it runs exit functions.
        atexit._run_exitfuncs()  # noqa: SLF001  # the only way to run them before Python waits for threads


def _exit_at_once(status: list[int]) -> None:
    """Exit with this status. If there is none or the output is closed, let Python exit and report the error."""
    if not status:
        return
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None if the shell closed it
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit(status[0])


@contextmanager
def torch_session() -> Iterator[tuple[Registry, Progress]]:
    """Import torch, and yield the registry and the progress display that a command passes to the library.

    Until the block ends, everything that is written to stdout goes to stderr, because upstream code may print. From
    then on, the process keeps freed memory instead of returning it to the operating system.
    """
    from zoo.progress import open_progress
    from zoo.registry.registry import open_registry

    registry = open_registry()  # before torch is imported, to detect plugins that import torch too early
    with redirect_stdout(sys.stderr):
        with without_garbage_collection():
            import torch  # noqa: F401

        from zoo.cli.deferred_compiler import defer_compiler
        from zoo.engine.allocator import keep_freed_memory

        defer_compiler()
        keep_freed_memory()
        yield registry, open_progress(name_flags)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Turn off the garbage collector during an import, and exclude the imported objects from later collections."""
    with pausing_collector():
        yield
    gc.freeze()
    atexit.register(gc.unfreeze)  # otherwise some libraries warn about leaked objects at a normal exit
