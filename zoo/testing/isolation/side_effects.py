"""What a plugin's code does besides what it was called for."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import torch


@dataclass
class SideEffects:
    """What was seen."""

    #: Addresses that it tried to connect to.
    connections: list[str] = field(default_factory=list)
    #: What is not as it was before, in words.
    traces: list[str] = field(default_factory=list)
    #: What was raised, if anything.
    error: Exception | None = None


@contextmanager
def restored_settings() -> Iterator[None]:
    """Restore what is changed inside: the next backbone must neither find it changed already nor suffer from it."""
    before, generator = _read_settings(), torch.get_rng_state()
    try:
        yield
    finally:
        for what, value in _read_settings().items():
            if value != before[what] and what in _RESTORE:
                _RESTORE[what](before[what])
        torch.set_rng_state(generator)


@contextmanager
def watch_side_effects(*, first: bool) -> Iterator[SideEffects]:
    """Note what happens inside; connections are refused, and the environment is restored.

    The ``first`` time, a builder imports its libraries. Their own effects, such as new threads and variables, are not
    noted: they do not come again the next time, and those of the builder itself do.
    """
    effects, printed = SideEffects(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.callback(_restore_environment, dict(os.environ))
        os.environ.update(dict.fromkeys(_CACHES, stack.enter_context(TemporaryDirectory())))
        before = _read_settings()
        stack.enter_context(_connections_refused(effects.connections))
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(printed))
        yield effects
        after = _read_settings()
    after[_THREADS] = max(before[_THREADS], after[_THREADS])  # a thread that has ended since was there before
    for what in before:
        if before[what] != after[what] and not (first and what in _OF_IMPORTS):
            how = f" from {before[what]} to {after[what]}" if len(str(before[what])) < LONG else ""
            effects.traces.append(f"changes {what}{how}")
    if printed.getvalue():
        effects.traces.append(f"prints {printed.getvalue().strip()[:80]!r}")


@contextmanager
def _connections_refused(attempts: list[str]) -> Iterator[None]:
    def refuse(*arguments: Any, **options: Any) -> NoReturn:
        # A socket's method is given the socket first, and an address last.
        wanted = next(
            (value for value in (*arguments, *options.values()) if isinstance(value, (tuple, str))), "somewhere"
        )
        attempts.append(str(wanted))
        raise OSError(f"no connection to {wanted} while a backbone is built")

    with contextlib.ExitStack() as undo:
        methods = [(socket.socket, name) for name in ("connect", "connect_ex", "sendto")]
        for owner, name in ((socket, "getaddrinfo"), (socket, "create_connection"), *methods):
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, refuse)
        yield


_THREADS = "the number of running threads"
_NUMPY = "the state of numpy's random numbers"
#: Characters above which a value is not shown.
LONG = 80
#: What importing a library may change.
_OF_IMPORTS = ("os.environ", _THREADS, "sys.path", "the filters of warnings", _NUMPY)
#: Folders of weights that a builder has downloaded before: it must do without them, as it will elsewhere.
_CACHES = ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE")


def _restore_environment(variables: dict[str, str]) -> None:
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)


_READ: Mapping[str, Callable[[], Any]] = {
    "torch's default dtype": torch.get_default_dtype,
    "torch's default device": torch.get_default_device,
    "torch's number of threads": torch.get_num_threads,
    "whether torch computes gradients": torch.is_grad_enabled,
    "whether torch's algorithms must be deterministic": torch.are_deterministic_algorithms_enabled,
    "torch's precision of matrix products": torch.get_float32_matmul_precision,
    "cudnn's benchmarking": lambda: torch.backends.cudnn.benchmark,
    "torch's seed": torch.initial_seed,
    "the state of Python's random numbers": random.getstate,
    "the working folder": Path.cwd,
    _THREADS: threading.active_count,
    "os.environ": lambda: dict(os.environ),
    "sys.path": lambda: [*sys.path],
    "the filters of warnings": lambda: [*warnings.filters],
    # As bytes, since arrays cannot be compared; nothing if numpy is not imported.
    _NUMPY: lambda: pickle.dumps(sys.modules["numpy"].random.get_state()) if "numpy" in sys.modules else b"",
}

_RESTORE: Mapping[str, Callable[[Any], object]] = {
    "torch's default dtype": torch.set_default_dtype,
    "torch's default device": torch.set_default_device,
    "torch's number of threads": torch.set_num_threads,
    "whether torch computes gradients": torch.set_grad_enabled,
    "whether torch's algorithms must be deterministic": torch.use_deterministic_algorithms,
    "torch's precision of matrix products": torch.set_float32_matmul_precision,
    "cudnn's benchmarking": lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    "the state of Python's random numbers": random.setstate,
    "the working folder": os.chdir,
    "os.environ": _restore_environment,
}


def _read_settings() -> dict[str, Any]:
    return {what: read() for what, read in _READ.items()}
