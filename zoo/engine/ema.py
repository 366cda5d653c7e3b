"""A moving average of the weights, which is often more accurate than the weights of the last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from zoo.engine.interrupts import deferring_signals
from zoo.models.sharding import local_tensor


class MovingAverage:
    """An exponential moving average of parameters and buffers.

    Source: Polyak and Juditsky 1992. As in Tarvainen and Valpola 2017, arXiv:1703.01780, the decay is lower in the
    first steps, so that the average quickly forgets the initial weights.
    """

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        """Start from the current values. Integer tensors and non-finite tensors (such as masks) are left out."""
        self.decay = decay
        self._is_swapped = False
        self._model_tensors = {
            name: tensor
            for name, tensor in tensors.items()
            if tensor.is_floating_point() and local_tensor(tensor).isfinite().all()
        }
        self.tensors = {name: tensor.detach().clone() for name, tensor in self._model_tensors.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Update the average with the current values; ``steps`` is the number of steps so far."""
        weight = 1 - min(self.decay, (1 + steps) / (10 + steps))
        averages = [local_tensor(average) for average in self.tensors.values()]
        values = [local_tensor(tensor) for tensor in self._model_tensors.values()]
        # torch's own AveragedModel uses the same function, but copies the full model, including frozen parameters.
        torch._foreach_lerp_(averages, values, weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Return a context in which the model's weights are replaced with the average."""
        try:
            self._swap()
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """Restore the model's own weights if they are currently replaced with the average.

        A signal can be raised after the ``in_place`` block ends but before it calls this, so code that saves the
        weights must also call it.
        """
        if self._is_swapped:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        with deferring_signals():
            for name, tensor in self._model_tensors.items():
                value = tensor.clone()
                tensor.copy_(self.tensors[name])
                self.tensors[name].copy_(value)
            self._is_swapped = not self._is_swapped
