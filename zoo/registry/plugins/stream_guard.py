"""Keep a plugin that is being loaded from writing to stdout and stderr, and restore them if it closes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zoo.registry.plugins.process_guard import reporting_faults


@contextmanager
def guarding_streams() -> Iterator[None]:
    """Return a context that discards direct writes to descriptors 1 and 2, and reopens them if they were closed.

    Raises:
        PluginError: If they were closed.
    """
    faults: list[str] = []
    with reporting_faults(faults), _keep_streams(faults):
        yield


@contextmanager
def _keep_streams(faults: list[str]) -> Iterator[None]:
    saved = {number: _copy_high(number) for number in (1, 2) if _is_open(number)}
    sink = os.open(os.devnull, os.O_WRONLY)
    for number in saved:
        os.dup2(sink, number)
    try:
        yield
    finally:
        for number, copy in saved.items():
            if not (_is_open(number) and _is_open(sink) and os.path.samestat(os.fstat(number), os.fstat(sink))):
                faults.append("closes " + ("stdout" if number == 1 else "stderr"))
            os.dup2(copy, number)
            os.close(copy)
        with suppress(OSError):  # the plugin may have closed it
            os.close(sink)
        _reopen_closed(faults)


def _copy_high(number: int) -> int:
    """Duplicate a descriptor to a high number, so that a plugin that closes all low ones does not close it."""
    if sys.platform == "win32":
        return os.dup(number)
    import fcntl

    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 900)
    except OSError:  # The limit on open files is lower, as it is by default on macOS.
        return os.dup(number)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _reopen_closed(faults: list[str]) -> None:
    """Replace Python's text streams if they were closed."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None and stream.closed and _is_open(number):
            setattr(sys, name, open(number, "w", encoding=stream.encoding, closefd=False))  # noqa: SIM115
            faults.append(f"closes {name}")
