"""The network as torch.compile makes it: other kernels for the same numbers, but for rounding."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from zoo.engine.interrupts import is_put_off
from zoo.engine.micro_batches import MicroBatches
from zoo.errors import is_out_of_memory

#: Letters of an error that are shown: torch adds advice of all sorts.
LENGTH = 200

#: Dropouts drop what they drop in the network as it is. And no headers are compiled beforehand: they take 150 MB of the
#: folder for temporary files, wherever the rest is kept.
_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "fallback_random": True,
    "cpp_cache_precompile_headers": False,
}


class CannotCompile(Exception):
    """Compiling fails; nothing has moved."""


class CompiledModel:
    """A network that is compiled when the first batch of the usual size goes through it."""

    def __init__(self, model: nn.Module, size: int, say: Callable[[str], None]) -> None:
        """Begin; ``size`` is how many images there usually are."""
        self._model = model
        self._size = size
        self._say = say
        self._compiled: Callable[[Tensor], Any] | None = None
        self._is_proven = False

    def choose(self, size: int) -> Callable[[Tensor], Any]:
        """Return what a batch of so many images goes through.

        The last batch of an epoch, which is of another size, goes through the network as it is: compiling it as well
        takes nearly as long again. Nor is anything compiled for all sizes: it would depend on which of them came first,
        and a run that goes on would round otherwise than one that was never interrupted.
        """
        if size != self._size:
            return self._model
        if self._compiled is None:
            self._say("compiling the network: the first step takes longer")
            torch.compiler.reset()  # what was compiled before, in other phases, counts towards a limit
            self._compiled = torch.compile(
                self._model,
                fullgraph=True,  # in pieces it would be slow without a word
                dynamic=False,
                options=_OPTIONS,
            )
        return self._compiled

    @contextmanager
    def attempting(self) -> Iterator[None]:
        """Run the network in the block; that compiling fails may be found out late, by the first backward pass.

        Raises:
            CannotCompile: something failed before the compiled network was ever run to its end.
        """
        try:
            with nullcontext() if self._is_proven else _quiet():
                yield
        except Exception as error:
            if is_out_of_memory(error) and not isinstance(error, TorchDynamoException):
                raise
            # Whatever it is, the network alone may do without; if not, it will say so itself.
            text = f"{type(error).__name__}: {shorten(str(error), LENGTH, placeholder='...')}"
            raise CannotCompile(text) from error
        if self._compiled is not None and not self._is_proven and is_put_off():
            # Ctrl-C reaches compilers as well, even one that torch only asks what this processor can do.
            raise CannotCompile("interrupted")
        self._is_proven = self._compiled is not None

    def give_up(self, reason: str) -> None:
        """Say that the network runs as it is from here on, and why."""
        self._say(f"note: compiling fails, and the network runs as it is: {reason}")


def find_obstacle(kind: str, parts: MicroBatches) -> str | None:
    """Return why compiling is of no use, or cannot be done, for what learns from images or features; None: it can."""
    if kind != "images":
        return "the epochs learn from kept features, and hardly run the network"
    if parts.is_fixed:
        return "the processes wait for each other in the middle of the network"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch says of compiling without being asked: we say it in a line."""
    logger = logging.getLogger("torch")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
