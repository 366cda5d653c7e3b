"""The loss of a batch: cross entropy, plus the cross entropy of auxiliary heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


class Criterion:
    """Cross entropy, plus the weighted cross entropy of auxiliary heads.

    With class weights, the loss is the weighted mean of the images' losses, and an image's weight is the weight of its
    class. Images can also have weights of their own, which are multiplied by the weights of their classes. torch's own
    ``weight`` argument differs. Combined with label smoothing, it also multiplies every other
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

    def __call__(
        self, output: Tensor | tuple[Tensor, ...], targets: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the logits of shape (N, classes).

        Args:
            output: Logits, or a tuple of logits and auxiliary logits.
            targets: Labels of shape (N,), or class probabilities of shape (N, classes).
            weights: Weights of the images, of shape (N,).
        """
        logits, *aux = (output,) if isinstance(output, Tensor) else output
        loss = self._compute_mean(logits, targets, weights)
        if self._aux_weight:
            for aux_logits in aux:
                loss = loss + self._aux_weight * self._compute_mean(aux_logits, targets, weights)
        return loss, logits

    def weigh(self, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the denominator of the mean loss: the number of images, or the sum of their weights."""
        weights = self._multiply(targets, weights)
        return torch.tensor(float(len(targets))) if weights is None else weights.sum()

    def _compute_mean(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        weights = self._multiply(targets, weights)
        if weights is None:
            return cross_entropy(logits, targets, label_smoothing=self._label_smoothing)
        losses = cross_entropy(logits, targets, label_smoothing=self._label_smoothing, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def _multiply(self, targets: Tensor, weights: Tensor | None) -> Tensor | None:
        """Return the weights of images multiplied by those of their classes, of shape (N,), or None without weights.

        The class weight of a mixed image is the mean of those of its classes.
        """
        if self._class_weights is None:
            return weights
        # Autocast would compute a matrix product in bfloat16.
        of_classes = self._class_weights[targets] if targets.ndim == 1 else (targets * self._class_weights).sum(1)
        return of_classes if weights is None else weights * of_classes
