"""The logits of the network that checks share must differ, because constant logits would prove nothing."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from specimens.good import declare_conv, declare_squeeze
from specimens.networks import Apply, ConvNet

from zoo.testing import backbone_under_test as module
from zoo.testing.backbone_under_test import BackboneUnderTest, all_differ
from zoo.testing.checks.head import replayed
from zoo.testing.results.result import CheckFailed

SEEDS = range(12)


def build_backbone(seed: int) -> BackboneUnderTest:
    """Build a network whose head is followed by a ReLU, from a seed."""
    with torch.random.fork_rng(), patch.object(module, "SEED", seed):
        backbone = BackboneUnderTest("good", declare_squeeze("good/squeeze", unsupported={}))
        _ = backbone.network
        return backbone


def has_distinct_logits(seed: int) -> bool:
    """Return whether the network distinguishes two images and their classes."""
    backbone = build_backbone(seed)
    return all_differ(backbone.run(backbone.images))


def test_a_head_with_constant_logits_is_reinitialized() -> None:
    assert [seed for seed in SEEDS if not has_distinct_logits(seed)] == []


def test_without_reinitialization_a_good_network_can_have_constant_logits() -> None:
    with patch.object(module, "MAX_INITS", 1):
        assert [seed for seed in SEEDS if not has_distinct_logits(seed)] != []


def build_faint(_tag: str | None) -> ConvNet:
    model = ConvNet()
    model.classifier[2] = Apply(lambda features: features * 1e-9)
    return model


def test_a_bias_does_not_outweigh_tiny_features() -> None:
    backbone = BackboneUnderTest("good", declare_conv("good/faint", build=build_faint))
    logits = backbone.run(backbone.images)
    assert all_differ(logits)
    assert logits.abs().max() < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_an_operation_after_the_head_is_found_for_every_seed_and_the_head_is_not_changed(seed: int) -> None:
    backbone = build_backbone(seed)
    before = backbone.run(backbone.images)
    with pytest.raises(CheckFailed, match="something follows the head"):
        replayed(backbone)
    assert torch.equal(backbone.run(backbone.images), before)


@pytest.mark.parametrize(
    ("logits", "wanted"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], True),
        ([[0.0, 0.0], [0.0, 0.0]], False),
        ([[1.0, 2.0], [1.0, 2.0]], False),
        ([[1.0, 2.0], [3.0, 3.0]], False),
        ([[1e-42, 2e-42], [3e-42, 4e-42]], False),
    ],
    ids=["all-differ", "all-zero", "same-for-both-images", "same-for-all-classes-of-an-image", "subnormal"],
)
def test_logits_differ_if_images_and_classes_do(logits: list[list[float]], wanted: bool) -> None:  # noqa: FBT001  # a case
    assert all_differ(torch.tensor(logits)) is wanted
