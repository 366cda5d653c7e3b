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
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.training.finetune import finetune
from zoo.training.run import Run

CACHED = "cached by an earlier run"


@dataclass
class Recorder(Silent):
    """A record of a run's lines, and of the number of images each time that it computes features."""

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
    """Train the head for two epochs; return the run and its recorder."""

    def run(spec: BackboneSpec | None = None, data: Path = photos, **options: Any) -> tuple[Run, Recorder]:
        recorder = Recorder()
        output = tmp_path / "runs" / str(len(list((tmp_path / "runs").glob("*"))))
        known = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml()) if spec else registry
        options = {"weights": str(weights), "epochs": 2, "workers": 0, "batch_size": 5, "device": "cpu", **options}
        return finetune("net", data, output=output, registry=known, progress=recorder, **options), recorder

    return run


def list_losses(run: Run) -> list[float]:
    import json

    lines = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    return [line[name] for line in lines for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy")]


@pytest.mark.parametrize(
    "options",
    [{}, {"head": "mlp:8,6"}, {"augment": "crop-flip", "views": 2, "epochs": 5}, {"optimizer": "sgd", "seed": 3}],
)
def test_a_run_with_the_cache_equals_one_without(train: Any, options: dict[str, Any]) -> None:
    plain, recorder = train(cache=False, **options)
    assert recorder.computed == []
    cached, recorder = train(**options)
    assert recorder.computed
    assert list_losses(cached) == pytest.approx(list_losses(plain), abs=1e-3)
    one, two = load_file(plain.path / "model.safetensors"), load_file(cached.path / "model.safetensors")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1},
        {"head": "linear", "lr": 0.1},
        pytest.param({"schedule": "step", "epochs": 3}, marks=pytest.mark.breadth),
        pytest.param({"batch_size": 7}, marks=pytest.mark.breadth),
    ],
)
def test_a_run_with_a_different_seed_learning_rate_schedule_or_batch_size_computes_no_features(
    train: Any, options: dict[str, Any]
) -> None:
    train()
    _, recorder = train(**options)
    assert recorder.computed == []
    assert f"features of 34 images: {CACHED}" in recorder.lines


def test_the_same_images_in_a_different_folder_use_the_cache(train: Any, photos: Path, tmp_path: Path) -> None:
    train()
    _, recorder = train(data=shutil.copytree(photos, tmp_path / "copy"))
    assert recorder.computed == []


def test_a_changed_image_does_not_use_the_cache(train: Any, photos: Path) -> None:
    train()
    with Image.open(photos / "val" / "red" / "0.png") as image:
        turned = image.rotate(180)
    turned.save(photos / "val" / "red" / "0.png")
    run, recorder = train()
    plain, _ = train(cache=False)
    assert recorder.computed == [34]
    assert list_losses(run) == pytest.approx(list_losses(plain), abs=1e-3)


def test_changed_weights_do_not_use_the_cache(train: Any, weights: Path) -> None:
    train()
    tensors = load_file(weights)
    tensors["stem.1.running_mean"] += 0.25  # a buffer counts as well
    save_file(tensors, weights)
    run, recorder = train()
    plain, _ = train(cache=False)
    assert recorder.computed == [34]
    assert list_losses(run) == pytest.approx(list_losses(plain), abs=1e-3)


@pytest.mark.parametrize(
    "change", [{"mean": (0.4, 0.5, 0.5)}, pytest.param({"resize": 18}, marks=pytest.mark.breadth), {"crop": "squash"}]
)
def test_a_changed_transform_does_not_use_the_cache(train: Any, acme: BackboneSpec, change: dict[str, Any]) -> None:
    train()
    _, recorder = train(replace(acme, input=replace(acme.input, **change)))
    assert recorder.computed == [34]


def test_changed_code_of_a_network_does_not_use_the_cache(train: Any, acme: BackboneSpec) -> None:
    def build(tag: str | None) -> Any:
        model: Any = acme.build(tag)
        model.pool.register_forward_hook(lambda _module, _inputs, output: output * 2)
        return model

    train()
    run, recorder = train(replace(acme, build=build))
    plain, _ = train(replace(acme, build=build), cache=False)
    assert list_losses(run) == pytest.approx(list_losses(plain), abs=1e-3)
    assert recorder.computed == [34]
    assert any("differ from what the network returns now" in line for line in recorder.lines)


def test_a_view_is_computed_in_the_first_epoch_that_needs_it(train: Any) -> None:
    _, recorder = train(augment="crop-flip", views=3, epochs=2)
    assert recorder.computed == [24, 10, 24]  # train, val, train
    _, recorder = train(augment="crop-flip", views=3, epochs=4, seed=9)
    assert recorder.computed == [24]
    assert len(list_entries("features")) == 4


NO_AUGMENTATION = {"augment": "none"}


@pytest.mark.parametrize(
    ("train_value", "options"),
    [
        ("from:layer2", {"augment": "crop-flip", "views": 2, "epochs": 3}),
        ("head", {}),
        pytest.param("from:layer2", {}, marks=pytest.mark.breadth),
        pytest.param("head", {"augment": "crop-flip", "views": 2, "epochs": 3}, marks=pytest.mark.breadth),
    ],
)
def test_a_run_on_features_of_the_last_frozen_block_equals_one_without_the_cache(
    train: Any, acme: BackboneSpec, train_value: str, options: dict[str, Any]
) -> None:
    spec = replace(acme, unsupported={"cached_features": "it is pooled afterwards"})
    options = {**NO_AUGMENTATION, "train": train_value, **options}
    plain, recorder = train(spec, cache=False, **options)
    assert recorder.computed == []
    cached, recorder = train(spec, **options)
    assert sum(recorder.computed) == 34 + 24 * (options["augment"] != "none")
    assert list_losses(cached) == pytest.approx(list_losses(plain), abs=1e-3)


@pytest.mark.parametrize(
    ("terms", "is_cached"),
    [
        pytest.param("head,hidden,layer2", True, marks=pytest.mark.breadth),
        ("head,layer2.1", True),  # the features are the output of layer2.0
        pytest.param("head,layer2,!norms", True, marks=pytest.mark.breadth),
        ("head,type:Linear,!classifier.0", True),
        pytest.param("head,layer1.1", False, marks=pytest.mark.breadth),  # most frozen parameters come after layer1.0
        pytest.param("head,norms", False, marks=pytest.mark.breadth),
        ("biases", False),
    ],
)
def test_terms_train_as_without_the_cache_and_only_what_comes_before_them_is_cached(
    train: Any, terms: str, *, is_cached: bool
) -> None:
    options = {**NO_AUGMENTATION, "train": terms, "optimizer": "sgd", "lr": 0.05}
    plain, _ = train(cache=False, **options)
    cached, recorder = train(**options)
    assert recorder.computed == ([34] if is_cached else [])
    assert list_losses(cached) == pytest.approx(list_losses(plain), abs=1e-3)
    assert is_cached or any("frozen features are computed in every epoch" in line for line in recorder.lines)


def test_features_of_another_block_do_not_use_the_cache(train: Any) -> None:
    train(train="from:layer2", **NO_AUGMENTATION)
    _, recorder = train(train="from:layer2", **NO_AUGMENTATION)
    assert recorder.computed == []
    _, recorder = train(train="from:hidden", **NO_AUGMENTATION)
    assert recorder.computed == [34]


def test_a_network_that_cannot_be_split_is_computed_in_every_epoch_and_a_note_says_why(
    train: Any, acme: BackboneSpec
) -> None:
    def build(tag: str | None) -> Any:
        model: Any = acme.build(tag)
        skipped: list[Tensor] = []
        model.register_forward_pre_hook(lambda _module, inputs: skipped.append(inputs[0].mean((1, 2, 3))[:, None]))
        model.register_forward_hook(lambda _module, _inputs, output: output + skipped.pop())
        return model

    _, recorder = train(replace(acme, build=build))
    assert recorder.computed == []
    assert any(
        line == "note: frozen features are computed in every epoch: "
        "the trainable part on its own returns different logits than the full network"
        for line in recorder.lines
    )


def test_a_run_without_space_in_the_cache_prints_a_note_and_continues(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "100")
    run, recorder = train()
    assert any("ZOO_CACHE_LIMIT allows only 100" in line for line in recorder.lines)
    assert run.facts["best"]["epoch"] in (1, 2)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"train": "all"}, marks=pytest.mark.breadth),
        {"train": "from:layer2"},
        {"train": "all", "augment": "none"},
        {"augment": "crop-flip", "views": 0},
    ],
)
def test_features_that_differ_in_every_epoch_are_not_cached(train: Any, options: dict[str, Any]) -> None:
    _, recorder = train(**options)
    assert recorder.computed == []
    assert list_entries("features") == []


def test_the_run_records_the_augmentation_and_views(train: Any) -> None:
    run, _ = train()
    assert (run.facts["recipe"]["augment"], run.facts["recipe"]["views"]) == ("none", 1)
    run, _ = train(train="all")
    assert (run.facts["recipe"]["augment"], run.facts["recipe"]["views"]) == ("crop-flip", 0)
