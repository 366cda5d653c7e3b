"""The loss, compared with explicit reference implementations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.engine.criterion import Criterion

LOGITS = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 0, 0, 1, 2, 0])
WEIGHTS = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
OWN = torch.tensor([1.0, 2.0, 0.25, 1.0, 3.0, 0.5], dtype=torch.float64)
MIXED = 0.3 * torch.eye(3, dtype=torch.float64)[LABELS] + 0.7 * torch.eye(3, dtype=torch.float64)[LABELS.roll(1)]


def compute_reference(probabilities: Tensor, smoothing: float, weights: Tensor) -> Tensor:
    """Smooth the targets, compute each image's cross entropy, and average with the weights of the images' classes."""
    smoothed = probabilities * (1 - smoothing) + smoothing / probabilities.shape[1]
    losses = -(smoothed * LOGITS.log_softmax(1)).sum(1)
    own = probabilities @ weights
    return (losses * own).sum() / own.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [torch.ones(3, dtype=torch.float64), WEIGHTS], ids=["equal", "balanced"])
@pytest.mark.parametrize("targets", [LABELS, MIXED], ids=["labels", "mixed"])
def test_the_loss_is_the_mean_over_images_weighted_by_their_own_class(
    targets: Tensor, weights: Tensor, smoothing: float
) -> None:
    probabilities = torch.eye(3, dtype=torch.float64)[targets] if targets.ndim == 1 else targets
    loss, logits = Criterion(smoothing, class_weights=weights)(LOGITS, targets)
    torch.testing.assert_close(loss, compute_reference(probabilities, smoothing, weights))
    assert logits is LOGITS


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "balanced"])
@pytest.mark.parametrize("targets", [LABELS, MIXED], ids=["labels", "mixed"])
def test_an_image_of_weight_2_counts_as_two_images(targets: Tensor, weights: Tensor | None) -> None:
    own, copies = torch.tensor([1, 2, 1, 3, 1, 2]), torch.tensor([0, 1, 1, 2, 3, 3, 3, 4, 5, 5])
    criterion = Criterion(0.1, 0.4, weights)
    loss, _ = criterion((LOGITS, LOGITS.flip(1)), targets, own)
    repeated, _ = criterion((LOGITS[copies], LOGITS[copies].flip(1)), targets[copies])
    torch.testing.assert_close(loss, repeated)
    torch.testing.assert_close(criterion.weigh(targets, own).double(), criterion.weigh(targets[copies]).double())


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "balanced"])
def test_loss_weights_of_micro_batches_add_up_to_the_batch(weights: Tensor | None) -> None:
    criterion = Criterion(0.1, class_weights=weights)
    whole, _ = criterion(LOGITS, LABELS, OWN)
    parts = zip(LOGITS.split(2), LABELS.split(2), OWN.split(2), strict=True)
    total = sum(criterion(logits, *part)[0] * criterion.weigh(*part) for logits, *part in parts)
    torch.testing.assert_close(total / criterion.weigh(LABELS, OWN), whole)


@pytest.mark.parametrize("targets", [LABELS, MIXED], ids=["labels", "mixed"])
def test_equal_class_weights_change_nothing(targets: Tensor) -> None:
    plain, _ = Criterion(0.1)(LOGITS, targets)
    weighted, _ = Criterion(0.1, class_weights=torch.full((3,), 2.0, dtype=torch.float64))(LOGITS, targets)
    torch.testing.assert_close(plain, weighted)


@pytest.mark.parametrize("targets", [LABELS, MIXED], ids=["labels", "mixed"])
def test_micro_batches_weighted_by_their_denominators_add_up_to_the_batch(targets: Tensor) -> None:
    criterion = Criterion(0.1, class_weights=WEIGHTS)
    whole, _ = criterion(LOGITS, targets)
    parts = zip(LOGITS.split(2), targets.split(2), strict=True)
    total = sum(criterion(logits, part)[0] * criterion.weigh(part) for logits, part in parts)
    torch.testing.assert_close(total / criterion.weigh(targets), whole)


def test_weights_of_mixed_images_are_exact_under_autocast() -> None:
    criterion, mixed = Criterion(class_weights=WEIGHTS.float()), MIXED.float()
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = criterion(LOGITS.float(), mixed)
    torch.testing.assert_close(loss, criterion(LOGITS.float(), mixed)[0], rtol=1e-5, atol=1e-6)


def test_mixing_the_images_of_a_batch_keeps_the_denominator() -> None:
    criterion = Criterion(class_weights=WEIGHTS)
    torch.testing.assert_close(criterion.weigh(MIXED), criterion.weigh(LABELS))


def test_label_smoothing_does_not_bias_frequent_classes_toward_rare_ones() -> None:
    """With balanced weights, an image of the frequent class must not be pushed to the rare class."""
    logits = torch.zeros(1, 2, requires_grad=True)
    loss, _ = Criterion(0.1, class_weights=torch.tensor([0.5, 15.0]))(logits, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[0, 0] < 0 < gradient[0, 1]


def test_auxiliary_logits_are_weighted_as_the_others_are() -> None:
    criterion, single = Criterion(0.1, 0.4, WEIGHTS), Criterion(0.1, class_weights=WEIGHTS)
    loss, logits = criterion((LOGITS, LOGITS.flip(1)), LABELS)
    torch.testing.assert_close(loss, single(LOGITS, LABELS)[0] + 0.4 * single(LOGITS.flip(1), LABELS)[0])
    assert logits is LOGITS
