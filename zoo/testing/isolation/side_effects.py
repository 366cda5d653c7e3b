"""What a plugin's code does besides what it was called for."""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import torch


@dataclass
class Watched:
    """What was seen."""

    #: Addresses that were asked for.
    connections: list[str] = field(default_factory=list)
    #: What is not as it was before, in words.
    traces: list[str] = field(default_factory=list)
    #: What it raised, if anything.
    error: Exception | None = None


@contextmanager
def settings_kept() -> Iterator[None]:
    """Put back what is changed inside: else the next backbone would find it changed already, or suffer from it."""
    before, generator = _look_around(), torch.get_rng_state()
    try:
        yield
    finally:
        for what, value in _look_around().items():
            if value != before[what] and what in _PUT_BACK:
                _PUT_BACK[what](before[what])
        torch.set_rng_state(generator)


@contextmanager
def watching(*, first: bool) -> Iterator[Watched]:
    """Watch what happens inside; connections are refused, and the environment is put back.

    The ``first`` time a builder imports its libraries. What these do to the environment, or start, is not noted: it
    does not happen again the next time, as what the builder does itself will.
    """
    watched = Watched()
    printed = io.StringIO()
    before, environment = _look_around(), dict(os.environ)
    with contextlib.ExitStack() as watches:
        os.environ.update(dict.fromkeys(_CACHES, watches.enter_context(TemporaryDirectory())))
        watches.enter_context(_connections_refused(watched.connections))
        watches.enter_context(contextlib.redirect_stdout(printed))
        watches.enter_context(contextlib.redirect_stderr(printed))
        yield watched
    for name in _CACHES:
        _put_variable_back(name, environment)
    after = _look_around()
    _put_environment_back(environment)
    after[_THREADS] = max(before[_THREADS], after[_THREADS])  # one that ended in the meantime was there before
    for what in before:
        if before[what] != after[what] and not (first and what in _OF_IMPORTS):
            how = f" from {before[what]} to {after[what]}" if len(str(before[what])) < LONG else ""
            watched.traces.append(f"changes {what}{how}")
    if printed.getvalue():
        watched.traces.append(f"prints {printed.getvalue().strip()[:80]!r}")


@contextmanager
def _connections_refused(attempts: list[str]) -> Iterator[None]:
    def refuse(*arguments: Any, **options: Any) -> NoReturn:
        # A socket's method is given the socket first, and an address last.
        given = [value for value in (*arguments, *options.values()) if not isinstance(value, socket.socket)]
        wanted = next((value for value in given if isinstance(value, (tuple, str))), "somewhere")
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
#: Where weights that a builder fetched before would lie: it must do without them, as it will elsewhere.
_CACHES = ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE")


def _put_variable_back(name: str, variables: dict[str, str]) -> None:
    if name in variables:
        os.environ[name] = variables[name]
    else:
        os.environ.pop(name, None)


def _put_environment_back(variables: dict[str, str]) -> None:
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)


_PUT_BACK: dict[str, Callable[[Any], object]] = {
    "torch's default dtype": torch.set_default_dtype,
    "torch's default device": torch.set_default_device,
    "torch's number of threads": torch.set_num_threads,
    "whether torch computes gradients": torch.set_grad_enabled,
    "whether torch's algorithms must be deterministic": torch.use_deterministic_algorithms,
    "torch's precision of matrix products": torch.set_float32_matmul_precision,
    "cudnn's benchmarking": lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    "the state of Python's random numbers": random.setstate,
    "the working folder": os.chdir,
    "os.environ": _put_environment_back,
}


def _look_around() -> dict[str, Any]:
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "whether torch computes gradients": torch.is_grad_enabled(),
        "whether torch's algorithms must be deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch's precision of matrix products": torch.get_float32_matmul_precision(),
        "cudnn's benchmarking": torch.backends.cudnn.benchmark,
        "torch's seed": torch.initial_seed(),
        "the state of Python's random numbers": random.getstate(),
        "the working folder": Path.cwd(),
        _THREADS: threading.active_count(),
        "os.environ": dict(os.environ),
        "sys.path": [*sys.path],
        "the filters of warnings": [*warnings.filters],
        _NUMPY: _look_at_numpy(),
    }


def _look_at_numpy() -> tuple[object, ...]:
    """Return the state of numpy's generator, where numpy is imported at all."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return ()
    name, keys, *rest = numpy.random.get_state()
    return name, keys.tobytes(), *rest
