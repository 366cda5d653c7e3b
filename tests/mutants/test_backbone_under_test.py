"""What the checks share says something: of a silent network nothing could be told."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from specimens.good import declare_conv, declare_squeeze
from specimens.networks import Apply, ConvNet

from zoo.testing import backbone_under_test as module
from zoo.testing.backbone_under_test import BackboneUnderTest, tells_apart
from zoo.testing.checks.head import replayed
from zoo.testing.results.result import CheckFailed

SEEDS = range(12)


def draw_backbone(seed: int) -> BackboneUnderTest:
    """Draw a network, a ReLU after its head, from a seed."""
    with torch.random.fork_rng(), patch.object(module, "SEED", seed):
        backbone = BackboneUnderTest("good", declare_squeeze("good/squeeze", unsupported={}))
        _ = backbone.network
        return backbone


def is_heard(seed: int) -> bool:
    """Whether the network tells two images, and their classes, apart."""
    return tells_apart(draw_backbone(seed).prediction.logits)


def test_a_head_that_says_nothing_is_drawn_again_until_it_is_heard() -> None:
    assert [seed for seed in SEEDS if not is_heard(seed)] == []


def test_without_that_a_good_network_would_be_silent() -> None:
    with patch.object(module, "DRAWS", 1):
        assert [seed for seed in SEEDS if not is_heard(seed)] != []


def build_faint(_tag: str | None) -> ConvNet:
    model = ConvNet()
    model.classifier[2] = Apply(lambda features: features * 1e-9)
    return model


def test_a_bias_drowns_no_features_that_are_next_to_nothing_as_drawn() -> None:
    logits = BackboneUnderTest("good", declare_conv("good/faint", build=build_faint)).prediction.logits
    assert tells_apart(logits)
    assert logits.abs().max() < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_what_follows_a_head_is_told_whatever_is_drawn_and_leaves_the_head_as_it_was(seed: int) -> None:
    backbone = draw_backbone(seed)
    before = backbone.first_logits
    with pytest.raises(CheckFailed, match="something follows the head"):
        replayed(backbone)
    assert torch.equal(backbone.run(backbone.images[:1]), before)


@pytest.mark.parametrize(
    ("logits", "wanted"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], True),
        ([[0.0, 0.0], [0.0, 0.0]], False),
        ([[1.0, 2.0], [1.0, 2.0]], False),
        ([[1.0, 2.0], [3.0, 3.0]], False),
    ],
    ids=["all-differ", "silent", "the-same-for-both-images", "one-image-without-an-answer"],
)
def test_telling_apart_is_of_images_and_of_classes(logits: list[list[float]], wanted: bool) -> None:  # noqa: FBT001  # a case
    assert tells_apart(torch.tensor(logits)) is wanted
