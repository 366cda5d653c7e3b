"""The moving average of the weights, which is often better than the weights of the last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from zoo.engine.interrupts import undisturbed
from zoo.models.sharding import part


class MovingAverage:
    """An exponential moving average of tensors, weights and statistics alike.

    Source: Polyak and Juditsky 1992; the decay is less in the first steps, as in Tarvainen and Valpola 2017,
    arXiv:1703.01780, so that the average does not cling to where it began.
    """

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        """Begin with the tensors as they are; counts are left out, and masks of infinities, which have no average."""
        self.decay = decay
        self._is_in_place = False
        self._live = {
            name: tensor
            for name, tensor in tensors.items()
            if tensor.is_floating_point() and part(tensor).isfinite().all()
        }
        self.tensors = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the tensors as they are after so many steps."""
        weight = 1 - min(self.decay, (1 + steps) / (10 + steps))
        # As torch's own averages do, without their copy of the whole model.
        torch._foreach_lerp_([*map(part, self.tensors.values())], [*map(part, self._live.values())], weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model until the block is over."""
        try:
            self._swap()
            yield
        finally:
            if self._is_in_place:  # an interrupt may have come right after the swap
                self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        with undisturbed():
            for name, live in self._live.items():
                kept = live.clone()
                live.copy_(self.tensors[name])
                self.tensors[name].copy_(kept)
            self._is_in_place = not self._is_in_place
