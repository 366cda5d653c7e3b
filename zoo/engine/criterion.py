"""The loss of a batch: cross entropy, plus the cross entropy of auxiliary heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Criterion:
    """Cross entropy, plus the weighted cross entropy of auxiliary heads."""

    def __init__(
        self, label_smoothing: float = 0.0, aux_weight: float = 0.0, class_weights: Tensor | None = None
    ) -> None:
        """Create a criterion; ``class_weights`` has shape (classes,)."""
        self._loss = nn.CrossEntropyLoss(class_weights, label_smoothing=label_smoothing)
        self._aux_weight = aux_weight

    def __call__(self, output: Tensor | tuple[Tensor, ...], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the logits of shape (N, classes).

        Args:
            output: Logits, or a tuple of logits and auxiliary logits.
            targets: Labels of shape (N,), or class probabilities of shape (N, classes).
        """
        logits, *aux = (output,) if isinstance(output, Tensor) else output
        loss = self._loss(logits, targets)
        if self._aux_weight:
            for aux_logits in aux:
                loss = loss + self._aux_weight * self._loss(aux_logits, targets)
        return loss, logits

    def weigh(self, targets: Tensor) -> Tensor:
        """Return the denominator of the mean loss: the number of targets, or the sum of their class weights."""
        if self._loss.weight is None or targets.ndim > 1:
            return torch.tensor(float(len(targets)))
        return self._loss.weight[targets].sum()
