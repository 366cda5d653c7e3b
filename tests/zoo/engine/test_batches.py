"""Each process gets its part of each training batch and of each split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from acme import draw_photos
from worlds import get_results
from zoo.data.dataset import Images, open_images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import BatchSource, FeatureBatchSource, FeatureRows, ImageBatchSource
from zoo.engine.device import choose_hardware
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import ALONE, World
from zoo.engine.loop import Score, evaluate
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry

MAX_IMAGES = 33
RECIPE = Recipe(weights="none", batch_size=8, workers=0, device="cpu")


@pytest.fixture
def images(registry: Registry, tmp_path: Path) -> Images:
    """Images of two classes, with an odd number of validation images."""
    draw_photos(tmp_path / "train", per_class=4)
    draw_photos(tmp_path / "val", per_class=17, seed=2)
    found = open_images(tmp_path, DataOptions(), registry=registry, progress=Silent())
    mixed = sorted(found.val, key=lambda sample: sample.digest)
    return replace(found, val=tuple(mixed[:MAX_IMAGES]))


@dataclass(frozen=True)
class ReversedFeatures:
    """Features of the images, stored in reverse order."""

    rows: Tensor

    def train(self, _view: int) -> FeatureRows:
        return self.plain("train")

    def plain(self, _split: str) -> FeatureRows:
        order = torch.arange(len(self.rows) - 1, -1, -1)
        return FeatureRows(self.rows[order], order)


def evaluate_val(model: nn.Module, source: BatchSource, world: World) -> tuple[Score, Tensor]:
    with closing(source):
        return evaluate(model, source.measure("val"), choose_hardware("cpu", "fp32", world), lambda _count: None)


def evaluate_all(acme: BackboneSpec, images: Images, world: World) -> Iterator[tuple[Score, Tensor]]:
    """Evaluate on 1, 2, 3 ... images, and on the features of the same images."""
    torch.manual_seed(0)
    model, head = acme.build(None), nn.Linear(6, 10)
    rows, views = torch.randn(MAX_IMAGES, 6), Views.build(acme.input, "none")
    hardware = choose_hardware("cpu", "fp32", world)
    for count in range(1, MAX_IMAGES + 1):
        some = replace(images, val=images.val[:count])
        yield evaluate_val(model, ImageBatchSource(model, some, views, RECIPE, hardware), world)
        yield evaluate_val(head, FeatureBatchSource(head, ReversedFeatures(rows[:count]), some, RECIPE, world), world)


@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_evaluate_a_split_as_one_process_does(size: int, acme: BackboneSpec, images: Images) -> None:
    def work(_rank: int) -> list[tuple[Score, Tensor]]:
        with join_world() as world:
            return list(evaluate_all(acme, images, world))

    first, *others = get_results(size, work)
    for place, (score, probabilities) in enumerate(evaluate_all(acme, images, ALONE)):
        assert len(probabilities) == place // 2 + 1
        found, same = first[place]
        assert found.accuracy == score.accuracy
        assert found.loss == pytest.approx(score.loss, abs=1e-6)
        torch.testing.assert_close(same, probabilities, rtol=0, atol=1e-6)
        assert all(other[place][0] == found and torch.equal(other[place][1], same) for other in others)


@pytest.mark.parametrize("size", [2, 3])
def test_each_process_trains_on_its_part_of_each_batch(size: int, acme: BackboneSpec, images: Images) -> None:
    model, rows, views = acme.build(None), torch.randn(8, 6), Views.build(acme.input, "none")
    recipe = replace(RECIPE, batch_size=6, augment="none")
    for epoch in range(2):
        orders = []
        for world in (ALONE, *(World(rank, size) for rank in range(size))):
            hardware = choose_hardware("cpu", "fp32", world)
            sources = (
                ImageBatchSource(model, images, views, recipe, hardware),
                FeatureBatchSource(nn.Linear(6, 10), ReversedFeatures(rows), images, recipe, world),
            )
            orders.append([batch for source in sources for batch in source.train(epoch)])
            assert [source.steps for source in sources] == [2, 2]
        for (inputs, labels), *parts in zip(*orders, strict=True):
            assert torch.equal(torch.cat([part for part, _ in parts if len(part)]), inputs)
            assert torch.equal(torch.cat([part for _, part in parts]), labels)
