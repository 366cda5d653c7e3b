"""What a phase calls while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from zoo.engine.metrics import Epoch
from zoo.engine.missing_gradients import MissingGradients


class PhaseCallbacks(Protocol):
    """Functions that are called during a phase."""

    def on_step(self) -> None:
        """Called after each step."""

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        """Called after each epoch.

        Args:
            epoch: Results of the epoch.
            probabilities: Probabilities of the validation images, of shape (N, classes).
            model: Full model. Its weights are the moving average if the recipe asks for one.
            is_best: Whether to keep this epoch's model: if it is the best so far, or if a fold is held out.
        """

    def on_missing_gradients(self, found: MissingGradients) -> None:
        """Called after the first step if no gradient reached some of the parameters that should be trained."""

    def on_unreadable(self, found: Mapping[str, str]) -> None:
        """Called before `on_epoch` if the images were not examined, with the unreadable ones so far and the reasons."""
