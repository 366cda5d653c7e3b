"""A linear probe: a multinomial logistic regression on features, which says how well they predict labels.

Cross-validation predicts each image with a probe that was trained without this image and without its copies. A wrong
label therefore cannot teach the probe the answer for its own image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

#: Weight of the L2 penalty, for features that are standardized and then divided by the square root of their number. In
#: measurements with wrong labels, it gave the lowest loss on images that the probe had not seen.
PENALTY = 1e-3
#: Maximum number of iterations. The loss is convex, so more of them change hardly anything.
_ITERATIONS = 200
#: Factors of the logits that are tried.
_SCALES = torch.logspace(-1, 1, 41)


def cross_validate(
    features: Tensor, labels: Tensor, folds: Tensor, advance: Callable[[int], object] = lambda _count: None
) -> Tensor:
    """Return each image's probability of each class, float32 of shape (N, classes), from the probe of its fold.

    The result is deterministic: the probes start at zero, and each of them is the minimum of a convex loss.

    Args:
        features: Features of shape (N, width).
        labels: Labels from 0 to the number of classes minus 1, of shape (N,). Every class occurs.
        folds: The fold of each image, of shape (N,). No class is in one fold only.
        advance: Called with the number of images of each fold that is finished.
    """
    scaled = _standardize(features)
    num_classes = int(labels.max()) + 1
    logits = torch.empty(len(labels), num_classes)
    for fold in sorted(set(folds.tolist())):
        is_held_out = folds == fold
        weights, biases = _fit(scaled, labels, ~is_held_out, num_classes)
        logits[is_held_out] = scaled[is_held_out] @ weights.T + biases
        advance(int(is_held_out.sum()))
    return torch.softmax(logits * _find_scale(logits, labels), 1)


def _standardize(features: Tensor) -> Tensor:
    """Scale the features so that an image has a squared norm of about 1. Constant features become 0."""
    deviations, means = torch.std_mean(features, 0, correction=0)
    scales = torch.where(deviations > 1e-6 * (means.abs() + deviations.max()), deviations, torch.inf)
    scaled: Tensor = (features - means) / (scales * features.shape[1] ** 0.5)
    return scaled


def _fit(features: Tensor, labels: Tensor, is_used: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the weights, of shape (classes, width), and the biases that minimize the penalized cross-entropy.

    The features of unused images are multiplied as well, because a copy of the others would need too much memory.
    """
    targets = torch.where(is_used, labels, -100)  # cross_entropy ignores this label
    weights = torch.zeros(num_classes, features.shape[1], requires_grad=True)
    biases = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        (weights, biases),
        max_iter=_ITERATIONS,
        tolerance_grad=1e-6,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def compute_loss() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(features @ weights.T + biases, targets) + PENALTY / 2 * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        return loss.item()

    with torch.enable_grad():
        optimizer.step(compute_loss)  # type: ignore[no-untyped-call]  # torch has no annotation here
    return weights.detach(), biases.detach()


def _find_scale(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the factor of the logits that minimizes the cross-entropy.

    The penalty makes a probe too cautious. Its probabilities are calibrated as in Guo et al. 2017, "On Calibration of
    Modern Neural Networks", https://arxiv.org/abs/1706.04599; the factor is the inverse of the temperature.
    """
    losses = torch.stack([cross_entropy(logits * scale, labels) for scale in _SCALES])
    return _SCALES[losses.argmin()]
