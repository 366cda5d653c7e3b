"""Pairs of options that decide which images a step sees, and how they are augmented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from recording_progress import RecordingProgress
from zoo.data.dataset import Images, open_images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import ImageBatchSource
from zoo.engine.device import choose_hardware
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.recipe import HEAD_VIEWS, Recipe
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune
from zoo.training.phases import plan_phases


@pytest.fixture
def images(few_blue: Path, registry: Registry) -> Images:
    return open_images(few_blue, DataOptions(), registry=registry, progress=Silent())


def list_epochs(acme: BackboneSpec, images: Images, **options: Any) -> list[Tensor]:
    """Return the images of four epochs in the order in which they are trained, each of shape (N, 3, H, W)."""
    recipe = Recipe(**{"train": "all", "batch_size": 5, "workers": 0, "device": "cpu", **options})
    views, model = Views.build(acme.input, recipe.augmentation, None, recipe.erase), acme.build(None)
    source = ImageBatchSource(model, images, views, recipe, choose_hardware("cpu"))
    return [torch.cat([batch for batch, _ in source.train(epoch)]) for epoch in range(4)]


def sort(epoch: Tensor) -> Tensor:
    """Return the images of an epoch in an order that does not depend on the sampler."""
    return epoch.flatten(1).unique(dim=0)


def are_equal(epochs: list[Tensor], others: list[Tensor]) -> Iterator[bool]:
    return (torch.equal(sort(one), sort(other)) for one, other in zip(epochs, others, strict=True))


def test_the_batch_size_changes_neither_the_order_nor_the_augmentation(acme: BackboneSpec, images: Images) -> None:
    small, large = (list_epochs(acme, images, batch_size=size, erase=0.5) for size in (3, 11))
    assert all(torch.equal(one, other) for one, other in zip(small, large, strict=True))


def test_views_do_not_depend_on_the_seed_and_repeat(acme: BackboneSpec, images: Images) -> None:
    first, other = (list_epochs(acme, images, views=3, seed=seed) for seed in (0, 1))
    assert all(are_equal(first, other))  # in another order
    assert not torch.equal(first[0], other[0])
    assert [torch.equal(sort(epoch), sort(first[0])) for epoch in first] == [True, False, False, True]


def test_without_views_every_seed_and_every_epoch_has_its_own_augmentation(acme: BackboneSpec, images: Images) -> None:
    first, other = (list_epochs(acme, images, seed=seed) for seed in (0, 1))
    assert not any(are_equal(first, other))
    assert not any(are_equal(first[1:], first[:-1]))


def test_with_views_every_draw_of_an_image_in_an_epoch_shows_the_same_view(acme: BackboneSpec, images: Images) -> None:
    fixed, fresh = (list_epochs(acme, images, balance="sampling", views=views) for views in (2, 0))
    every_view = torch.cat([sort(epoch) for epoch in list_epochs(acme, images, views=2)[:2]])
    assert all(len(sort(epoch)) < len(images.train) for epoch in fixed)  # some images are drawn several times
    assert all((every_view == image).all(1).any() for epoch in fixed for image in epoch.flatten(1))
    assert [len(sort(epoch)) for epoch in fresh] == [len(images.train)] * 4


def test_the_seed_decides_which_images_are_drawn(acme: BackboneSpec, images: Images) -> None:
    options = {"balance": "sampling", "augment": "none"}
    first, again, other = (list_epochs(acme, images, seed=seed, **options) for seed in (0, 0, 1))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(are_equal(first, other))


def test_views_of_zero_augment_even_if_only_the_head_is_trained(acme: BackboneSpec, images: Images) -> None:
    fresh = list_epochs(acme, images, train="head", views=0)
    assert all(torch.equal(one, two) for one, two in zip(fresh, list_epochs(acme, images), strict=True))


@pytest.mark.parametrize("augment", ["crop-flip", None])
def test_each_phase_has_the_default_augmentation_of_its_scope(augment: str | None) -> None:
    phases = plan_phases(Recipe(train="head-then-all", augment=augment), ())
    assert [phase.augmentation for phase in phases] == [augment or "none", "crop-flip"]
    assert [phase.num_views for phase in phases] == [HEAD_VIEWS if augment else 1, 0]


@pytest.mark.parametrize("option", ["mixup", "cutmix"])
def test_mixed_images_have_no_cached_features(few_blue: Path, registry: Registry, tmp_path: Path, option: str) -> None:
    progress, options = (
        RecordingProgress(),
        {"weights": "none", "epochs": 1, "workers": 0, "device": "cpu", option: 0.4},
    )
    finetune("net", few_blue, output=tmp_path / "run", registry=registry, progress=progress, **options)
    note = "note: frozen features are computed in every epoch: mixup and cutmix mix images, not features"
    assert note in progress.lines
