"""What a plugin's code does besides what it was called for."""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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
def watching() -> Iterator[Watched]:
    """Watch what happens inside; connections are refused, and the environment is put back."""
    watched = Watched()
    printed = io.StringIO()
    before = _look_around()
    with _connections_refused(watched.connections), contextlib.redirect_stdout(printed):
        yield watched
    after = _look_around()
    if dict(os.environ) != before[_STATES[0]]:
        os.environ.clear()
        os.environ.update(before[_STATES[0]])
    watched.traces += [
        f"changes {what} from {before[what]} to {after[what]}" for what in _SETTINGS if before[what] != after[what]
    ]
    watched.traces += [f"changes {what}" for what in _STATES if before[what] != after[what]]
    if printed.getvalue():
        watched.traces.append(f"prints {printed.getvalue().strip()[:80]!r}")


@contextmanager
def _connections_refused(attempts: list[str]) -> Iterator[None]:
    def refuse(*arguments: Any, **_options: Any) -> NoReturn:
        # A socket's method is given the socket first, and then the address.
        wanted = arguments[1] if isinstance(arguments[0], socket.socket) else arguments[0]
        attempts.append(str(wanted))
        raise OSError(f"no connection to {wanted} while a backbone is built")

    with contextlib.ExitStack() as undo:
        for owner, name in ((socket, "getaddrinfo"), (socket, "create_connection"), (socket.socket, "connect")):
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, refuse)
        yield


#: What is shown when it changes.
_SETTINGS = (
    "torch's default dtype",
    "torch's default device",
    "torch's number of threads",
    "whether torch computes gradients",
    "whether torch's algorithms must be deterministic",
    "torch's precision of matrix products",
    "cudnn's benchmarking",
    "torch's seed",
    "the working folder",
)
#: What is too long to show.
_STATES = ("os.environ", "the state of Python's random numbers")


def _look_around() -> dict[str, Any]:
    settings = (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.benchmark,
        torch.initial_seed(),
        Path.cwd(),
    )
    states = (dict(os.environ), random.getstate())
    return {**dict(zip(_SETTINGS, settings, strict=True)), **dict(zip(_STATES, states, strict=True))}
