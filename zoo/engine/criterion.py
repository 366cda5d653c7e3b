"""The loss of a batch: cross entropy, plus the cross entropy of auxiliary heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


class Criterion:
    """Cross entropy, plus the weighted cross entropy of auxiliary heads.

    With class weights, the loss is the weighted mean of the images' losses, and an image's weight is the weight of its
    class. torch's own ``weight`` argument differs. Combined with label smoothing, it also multiplies every other
    class's share of the smoothed target by that class's weight, which biases images of frequent classes toward rare
    classes.
    """

    def __init__(
        self, label_smoothing: float = 0.0, aux_weight: float = 0.0, class_weights: Tensor | None = None
    ) -> None:
        """Create a criterion; ``class_weights`` has shape (classes,)."""
        self._label_smoothing = label_smoothing
        self._aux_weight = aux_weight
        self._class_weights = class_weights

    def __call__(self, output: Tensor | tuple[Tensor, ...], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the logits of shape (N, classes).

        Args:
            output: Logits, or a tuple of logits and auxiliary logits.
            targets: Labels of shape (N,), or class probabilities of shape (N, classes).
        """
        logits, *aux = (output,) if isinstance(output, Tensor) else output
        loss = self._compute_mean(logits, targets)
        if self._aux_weight:
            for aux_logits in aux:
                loss = loss + self._aux_weight * self._compute_mean(aux_logits, targets)
        return loss, logits

    def weigh(self, targets: Tensor) -> Tensor:
        """Return the denominator of the mean loss: the number of targets, or the sum of their class weights."""
        weights = self._list_weights(targets)
        return torch.tensor(float(len(targets))) if weights is None else weights.sum()

    def _compute_mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        weights = self._list_weights(targets)
        if weights is None:
            return cross_entropy(logits, targets, label_smoothing=self._label_smoothing)
        losses = cross_entropy(logits, targets, label_smoothing=self._label_smoothing, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def _list_weights(self, targets: Tensor) -> Tensor | None:
        """Return the weight of each target, of shape (N,). A mixed image has the mean weight of its classes."""
        if self._class_weights is None:
            return None
        if targets.ndim == 1:
            return self._class_weights[targets]
        return (targets * self._class_weights).sum(1)  # A matrix product would be computed in bfloat16 under autocast.
