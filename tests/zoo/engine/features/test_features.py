from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo.files.cache import list_entries
from zoo.plugin import BackboneSpec
from zoo.progress import Advance, Silent
from zoo.registry.load_plugin import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.training.finetune import Run, finetune

KEPT = "kept by an earlier run"


@dataclass
class Told(Silent):
    """What a run said, and how many images it computed features of."""

    lines: list[str] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:
        if title == "computing features" and total is not None:
            self.computed.append(total)
        yield lambda _steps: None


@pytest.fixture
def weights(source: dict[str, Tensor], tmp_path: Path) -> Path:
    save_file(source, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.fixture
def train(photos: Path, weights: Path, registry: Registry, tmp_path: Path) -> Any:
    """Train the head for two epochs; returns the run and what it told."""

    def run(spec: BackboneSpec | None = None, data: Path = photos, **options: Any) -> tuple[Run, Told]:
        told = Told()
        output = tmp_path / "runs" / str(len(list((tmp_path / "runs").glob("*"))))
        known = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml()) if spec else registry
        options = {"weights": str(weights), "epochs": 2, "workers": 0, "batch_size": 5, "device": "cpu", **options}
        return finetune("net", data, output=output, registry=known, progress=told, **options), told

    return run


def list_losses(run: Run) -> list[float]:
    import json

    lines = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    return [line[name] for line in lines for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy")]


@pytest.mark.parametrize(
    "options",
    [{}, {"head": "mlp:8,6"}, {"augment": "crop-flip", "views": 2, "epochs": 5}, {"optimizer": "sgd", "seed": 3}],
)
def test_a_run_is_the_same_with_the_cache_and_without(train: Any, options: dict[str, Any]) -> None:
    plain, told = train(cache=False, **options)
    assert told.computed == []
    cached, told = train(**options)
    assert told.computed
    assert list_losses(cached) == pytest.approx(list_losses(plain), abs=1e-3)
    one, two = load_file(plain.path / "model.safetensors"), load_file(cached.path / "model.safetensors")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"head": "linear", "lr": 0.1}, {"schedule": "step", "epochs": 3}, {"batch_size": 7}],
)
def test_a_run_with_another_seed_rate_schedule_or_batch_computes_no_features(
    train: Any, options: dict[str, Any]
) -> None:
    train()
    _, told = train(**options)
    assert told.computed == []
    assert f"features of 34 images: {KEPT}" in told.lines


def test_the_same_images_in_another_folder_are_known(train: Any, photos: Path, tmp_path: Path) -> None:
    train()
    _, told = train(data=shutil.copytree(photos, tmp_path / "copy"))
    assert told.computed == []


def test_a_changed_image_is_never_answered_from_the_cache(train: Any, photos: Path) -> None:
    train()
    with Image.open(photos / "val" / "red" / "0.png") as image:
        turned = image.rotate(180)
    turned.save(photos / "val" / "red" / "0.png")
    run, told = train()
    plain, _ = train(cache=False)
    assert told.computed == [34]
    assert list_losses(run) == pytest.approx(list_losses(plain), abs=1e-3)


def test_changed_weights_are_never_answered_from_the_cache(train: Any, weights: Path) -> None:
    train()
    tensors = load_file(weights)
    tensors["stem.1.running_mean"] += 0.25  # a buffer decides as well
    save_file(tensors, weights)
    run, told = train()
    plain, _ = train(cache=False)
    assert told.computed == [34]
    assert list_losses(run) == pytest.approx(list_losses(plain), abs=1e-3)


@pytest.mark.parametrize("change", [{"mean": (0.4, 0.5, 0.5)}, {"resize": 18}, {"crop": "squash"}])
def test_a_changed_transform_is_never_answered_from_the_cache(
    train: Any, acme: BackboneSpec, change: dict[str, Any]
) -> None:
    train()
    _, told = train(replace(acme, input=replace(acme.input, **change)))
    assert told.computed == [34]


def test_changed_code_of_a_network_is_found_out(train: Any, acme: BackboneSpec) -> None:
    def build(tag: str | None) -> Any:
        model: Any = acme.build(tag)
        model.pool.register_forward_hook(lambda _module, _inputs, output: output * 2)
        return model

    train()
    run, told = train(replace(acme, build=build))
    plain, _ = train(replace(acme, build=build), cache=False)
    assert list_losses(run) == pytest.approx(list_losses(plain), abs=1e-3)
    assert told.computed == [34]
    assert any("are not what the network gives now" in line for line in told.lines)


def test_a_view_is_computed_when_an_epoch_asks_for_it(train: Any) -> None:
    _, told = train(augment="crop-flip", views=3, epochs=2)
    assert told.computed == [24, 10, 24]  # train, val, train
    _, told = train(augment="crop-flip", views=3, epochs=4, seed=9)
    assert told.computed == [24]
    assert len(list_entries("features")) == 4


def test_memory_is_given_back_whenever_features_were_computed(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr("zoo.engine.features.features.give_back", lambda: given_back.append(1))
    _, told = train(augment="crop-flip", views=2, epochs=3)
    assert len(given_back) == len(told.computed) == 3  # of two views, and of the images as they are measured
    train(augment="crop-flip", views=2, epochs=3)
    assert len(given_back) == 3


FLAT = {"augment": "none"}


@pytest.mark.parametrize("options", [{}, {"augment": "crop-flip", "views": 2, "epochs": 3}])
@pytest.mark.parametrize("train_what", ["from:layer2", "head"])
def test_a_run_from_the_last_frozen_block_is_the_same_as_one_without_the_cache(
    train: Any, acme: BackboneSpec, train_what: str, options: dict[str, Any]
) -> None:
    spec = replace(acme, unsupported={"cached_features": "it is pooled afterwards"})
    options = {**FLAT, "train": train_what, **options}
    plain, told = train(spec, cache=False, **options)
    assert told.computed == []
    cached, told = train(spec, **options)
    assert sum(told.computed) == 34 + 24 * (options["augment"] != "none")
    assert list_losses(cached) == pytest.approx(list_losses(plain), abs=1e-3)


def test_features_of_another_place_in_the_network_are_others(train: Any) -> None:
    train(train="from:layer2", **FLAT)
    _, told = train(train="from:layer2", **FLAT)
    assert told.computed == []
    _, told = train(train="from:hidden", **FLAT)
    assert told.computed == [34]


def test_a_network_that_cannot_be_cut_is_computed_at_every_epoch_and_says_why(train: Any, acme: BackboneSpec) -> None:
    def build(tag: str | None) -> Any:
        model: Any = acme.build(tag)
        skipped: list[Tensor] = []
        model.register_forward_pre_hook(lambda _module, inputs: skipped.append(inputs[0].mean((1, 2, 3))[:, None]))
        model.register_forward_hook(lambda _module, _inputs, output: output + skipped.pop())
        return model

    _, told = train(replace(acme, build=build))
    assert told.computed == []
    assert any(
        line
        == "note: what is frozen is computed at every epoch: alone, what learns gives other logits than the network"
        for line in told.lines
    )


def test_a_cache_without_room_is_said_and_the_run_goes_on(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "100")
    run, told = train()
    assert any("more than ZOO_CACHE_LIMIT allows, 100" in line for line in told.lines)
    assert run.facts["best"]["epoch"] in (1, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"train": "all"},
        {"train": "from:layer2"},
        {"train": "all", "augment": "none"},
        {"augment": "crop-flip", "views": 0},
    ],
)
def test_what_differs_at_every_epoch_is_not_kept(train: Any, options: dict[str, Any]) -> None:
    _, told = train(**options)
    assert told.computed == []
    assert list_entries("features") == []


def test_the_run_tells_what_was_decided(train: Any) -> None:
    run, _ = train()
    assert (run.facts["recipe"]["augment"], run.facts["recipe"]["views"]) == ("none", 1)
    run, _ = train(train="all")
    assert (run.facts["recipe"]["augment"], run.facts["recipe"]["views"]) == ("crop-flip", 0)
