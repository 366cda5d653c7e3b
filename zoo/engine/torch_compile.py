"""The model compiled by torch.compile, which computes the same results except for rounding."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.interrupts import is_signal_pending
from zoo.engine.micro_batches import MicroBatches
from zoo.errors import is_out_of_memory

#: Maximum length of an error in a message; torch adds long advice to its errors.
MAX_ERROR_LENGTH = 200

#: Options of torch.compile. Dropout uses the same random numbers as in the uncompiled model. Precompiled headers are
#: disabled because they take up 150 MB in the system's temporary directory, regardless of the cache folder.
_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "fallback_random": True,
    "cpp_cache_precompile_headers": False,
}


class CannotCompile(Exception):
    """The model cannot be compiled. The failed step has not changed it."""


class CompiledModel:
    """A model that is compiled on its first batch of the usual size."""

    def __init__(self, model: nn.Module, batch_size: int, say: Callable[[str], None]) -> None:
        """Create the object; ``batch_size`` is the usual number of images in this process's batches."""
        self._model = model
        self._batch_size = batch_size
        self._say = say
        self._compiled: Callable[[Tensor], Any] | None = None
        self._has_succeeded = False

    def choose(self, batch_size: int) -> Callable[[Tensor], Any]:
        """Return the compiled model for a batch of the usual size, and the uncompiled model for any other batch.

        The last batch of an epoch is often smaller. Compiling the model for that size too would take almost as long
        again. Compiling it for dynamic sizes would make the result depend on which size came first, so a resumed run
        would round differently from an uninterrupted one.
        """
        if batch_size != self._batch_size:
            return self._model
        if self._compiled is None:
            self._say("compiling the model: the first step takes longer")
            # torch limits the number of compilations, and compilations of earlier phases count toward the limit.
            torch.compiler.reset()
            self._compiled = torch.compile(
                self._model,
                fullgraph=True,  # Graph breaks would make the model slow without any message.
                dynamic=False,
                options=_OPTIONS,
            )
        return self._compiled

    @contextmanager
    def attempting(self) -> Iterator[None]:
        """Return a context for the forward and backward pass, in either of which compilation may fail.

        Raises:
            CannotCompile: If either pass fails for a reason other than insufficient memory.
        """
        try:
            with nullcontext() if self._has_succeeded else _quiet():
                yield
        except Exception as error:
            # torch.compile has imported this module. Runs that do not compile need not import it.
            from torch._dynamo.exc import TorchDynamoException

            if is_out_of_memory(error) and not isinstance(error, TorchDynamoException):
                raise
            # The uncompiled model may work. If it does not, it raises the error again.
            text = f"{type(error).__name__}: {shorten(str(error), MAX_ERROR_LENGTH, placeholder='...')}"
            raise CannotCompile(text) from error
        if self._compiled is not None and not self._has_succeeded and is_signal_pending():
            # Ctrl-C also interrupts the C++ compiler, even while torch only uses it to detect the CPU's features.
            raise CannotCompile("interrupted")
        self._has_succeeded = self._compiled is not None

    def give_up(self, reason: str) -> None:
        """Report that the model runs uncompiled from now on, and why."""
        self._say(f"note: compilation failed, so the model runs uncompiled: {reason}")


def find_obstacle(kind: str, micro_batches: MicroBatches) -> str | None:
    """Return why compilation is useless or impossible, or None if the model can be compiled.

    Args:
        kind: Kind of batches, ``images`` or ``features``.
        micro_batches: How batches are split into micro-batches.
    """
    if kind != "images":
        return "training uses cached features and hardly runs the model"
    if micro_batches.is_fixed:
        return "the forward or backward pass involves communication between processes"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Return a context without torch's warnings and log messages about compilation; zoo reports a failure itself."""
    logger = logging.getLogger("torch")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
