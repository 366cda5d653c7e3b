"""Side effects of a plugin's code: connections, prints, and changed settings of the process."""

from __future__ import annotations

import io
import os
import pickle
import random
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from unittest.mock import patch

import torch

from zoo.testing.results.place import find_caller


@dataclass
class SideEffects:
    """The side effects that were observed."""

    #: Addresses that the code tried to connect to.
    connections: list[str] = field(default_factory=list)
    #: Changes that the code made and text that it printed, in words.
    traces: list[str] = field(default_factory=list)
    #: Error that the code raised.
    error: Exception | None = None
    #: File and line of the code that tried to connect, or that printed, whichever came first.
    place: str = ""


@contextmanager
def restored_settings() -> Iterator[None]:
    """Restore all settings on exit, so that one backbone cannot affect the checks of the next one."""
    before, generator = _read_settings(), torch.get_rng_state()
    with patch.dict(os.environ):
        try:
            yield
        finally:
            for what, value in _read_settings().items():
                if value != before[what] and what in _RESTORE:
                    _RESTORE[what](before[what])
            torch.set_rng_state(generator)


@contextmanager
def watch_side_effects(*, first: bool) -> Iterator[SideEffects]:
    """Record side effects, refuse connections, and restore the environment variables on exit.

    Args:
        first: Whether a builder runs for the first time and imports its libraries. Effects that imports can have, such
            as new threads and environment variables, are then not recorded. The builder's own effects of this kind
            occur again in the next build, which records them.
    """
    effects = SideEffects()
    printed = _Printed(effects)
    with ExitStack() as stack:
        empty_cache = stack.enter_context(TemporaryDirectory())
        stack.enter_context(patch.dict(os.environ, dict.fromkeys(_CACHES, empty_cache)))
        before = _read_settings()
        stack.enter_context(_connections_refused(effects))
        stack.enter_context(redirect_stdout(printed))
        stack.enter_context(redirect_stderr(printed))
        yield effects
        after = _read_settings()
    after[_THREADS] = max(before[_THREADS], after[_THREADS])  # A thread that was running before may have ended.
    for what in before:
        if before[what] != after[what] and not (first and what in _OF_IMPORTS):
            how = f" from {before[what]} to {after[what]}" if len(str(before[what])) < LONG else ""
            effects.traces.append(f"changes {what}{how}")
    if printed.getvalue():
        effects.traces.append(f"prints {printed.getvalue().strip()[:80]!r}")


class _Printed(io.StringIO):
    """What the code prints; the first line is remembered with its place."""

    def __init__(self, effects: SideEffects) -> None:
        super().__init__()
        self._effects = effects

    def write(self, text: str) -> int:
        self._effects.place = self._effects.place or find_caller()
        return super().write(text)


@contextmanager
def _connections_refused(effects: SideEffects) -> Iterator[None]:
    def refuse(*arguments: Any, **options: Any) -> NoReturn:
        # The first argument of a method is the socket.
        addresses = (value for value in (*arguments, *options.values()) if isinstance(value, (tuple, str)))
        effects.connections.append(str(next(addresses, "somewhere")))
        effects.place = effects.place or find_caller()
        raise OSError(f"no connection to {effects.connections[-1]} during this check")

    functions = patch.multiple(socket, getaddrinfo=refuse, create_connection=refuse)
    methods = patch.multiple(socket.socket, connect=refuse, connect_ex=refuse, sendto=refuse)
    with functions, methods:
        yield


_THREADS = "the number of running threads"
_NUMPY = "numpy's random state"
#: Length in characters from which a trace omits a value.
LONG = 80
#: Settings that the import of a library may change.
_OF_IMPORTS = ("os.environ", _THREADS, "sys.path", "the warning filters", _NUMPY)
#: Environment variables that set the folders of downloaded weights. Builders see an empty folder, as on a new machine.
_CACHES = ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE")

_READ: Mapping[str, Callable[[], Any]] = {
    "torch's default dtype": torch.get_default_dtype,
    "torch's default device": torch.get_default_device,
    "torch's number of threads": torch.get_num_threads,
    "torch's grad mode": torch.is_grad_enabled,
    "torch's deterministic mode": torch.are_deterministic_algorithms_enabled,
    "torch's precision of matrix multiplications": torch.get_float32_matmul_precision,
    "cuDNN's benchmark mode": lambda: torch.backends.cudnn.benchmark,
    "torch's seed": torch.initial_seed,
    "Python's random state": random.getstate,
    "the working directory": Path.cwd,
    _THREADS: threading.active_count,
    "os.environ": lambda: dict(os.environ),
    "sys.path": lambda: [*sys.path],
    "the warning filters": lambda: [*warnings.filters],
    # Bytes can be compared, unlike arrays; they are empty if numpy is not imported.
    _NUMPY: lambda: pickle.dumps(sys.modules["numpy"].random.get_state()) if "numpy" in sys.modules else b"",
}

_RESTORE: Mapping[str, Callable[[Any], object]] = {
    "torch's default dtype": torch.set_default_dtype,
    "torch's default device": torch.set_default_device,
    "torch's number of threads": torch.set_num_threads,
    "torch's grad mode": torch.set_grad_enabled,
    "torch's deterministic mode": torch.use_deterministic_algorithms,
    "torch's precision of matrix multiplications": torch.set_float32_matmul_precision,
    "cuDNN's benchmark mode": lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    "Python's random state": random.setstate,
    "the working directory": os.chdir,
}


def _read_settings() -> dict[str, Any]:
    return {what: read() for what, read in _READ.items()}
