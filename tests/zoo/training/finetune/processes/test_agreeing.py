"""Several processes have the same result as one, and the result is the same in all of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from acme import draw_photos
from fading import make_fades
from made_registries import registry_of
from plain import make_plain
from quick_runs import QUICK, read_facts
from worlds import get_results
from zoo.plugin import BackboneSpec
from zoo.training.finetune import finetune

SIZES = [pytest.param(2, marks=pytest.mark.breadth), 3]
Train = Callable[..., Any]

#: Options that change the result, for all trained parts.
OPTIONS: list[dict[str, Any]] = [
    {"train": "all", "optimizer": "sgd", "ema": 0.9},
    {"train": "all", "balance": "loss", "label_smoothing": 0.1, "accumulate": 2, "clip_norm": 0.1},
    {"train": "all", "optimizer": "sgd", "balance": "sampling", "schedule": "cosine", "warmup": 0.5},
    {"train": "from:layer2", "layer_decay": 0.8, "ema": 0.9},
    {"train": "from:layer2", "augment": "none", "balance": "loss"},  # on features of the last frozen block
    {"train": "head", "optimizer": "sgd", "lr": 0.5, "clip_norm": 0.1, "balance": "loss"},  # on features
    {"train": "head", "augment": "crop-flip", "views": 2, "accumulate": 2},
    {"train": "head", "cache": False, "ema": 0.9, "label_smoothing": 0.1},
    {"train": "head-then-all"},
]


#: Options with which batch norm and dropout differ between processes.
DRAWN: list[dict[str, Any]] = [
    {"train": "gradual", "epochs": 3, "ema": 0.9},
    {"train": "all", "mixup": 0.4, "cutmix": 1.0, "accumulate": 2},
    {"train": "all", "optimizer": "sgd", "erase": 0.5, "schedule": "plateau"},
    {"train": "head", "head": "mlp:8", "augment": "crop-flip", "views": 2},
]


def draw(folder: Path, **counts: tuple[int, int]) -> Path:
    """Generate blue and red images for each split."""
    for place, (split, both) in enumerate(counts.items()):
        for name, count in zip(("blue", "red"), both, strict=True):
            draw_photos(folder / split, per_class=count, classes=(name,), seed=10 * place + len(name))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with train (23), val (9) and test (7) of blue and red images."""
    return draw(tmp_path / "photos", train=(13, 10), val=(5, 4), test=(3, 4))


def are_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return whether tensors are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def list_figures(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line[name] for line in lines for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")]


def require_equal(found: Any, expected: Any, case: object) -> None:
    """Require that two runs have the same weights and metrics."""
    torch.testing.assert_close(found.tensors, expected.tensors, rtol=0, atol=1e-5, msg=lambda text: f"{case}: {text}")
    assert list_figures(found.path) == pytest.approx(list_figures(expected.path), abs=1e-5), case
    for split in ("val", "test"):
        assert found.facts.get(split, {}).get("confusion") == expected.facts.get(split, {}).get("confusion"), case


@pytest.mark.parametrize("size", SIZES)
def test_several_processes_have_the_same_result_as_one(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    registry = registry_of(make_plain())

    def train_all(folder: str) -> list[Any]:
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / f"{folder}-cache"))
        return [
            train(tmp_path / f"{folder}-{number}", registry, **{"epochs": 2, "lr": 0.005, **options})
            for number, options in enumerate(OPTIONS)
        ]

    alone = train_all("alone")
    first = get_results(size, lambda _rank: train_all("together"))[0]
    for options, found, expected in zip(OPTIONS, first, alone, strict=True):
        require_equal(found, expected, options)


@pytest.mark.parametrize("size", SIZES)
def test_results_agree_for_any_number_of_images(train: Train, tmp_path: Path, size: int) -> None:
    registry, counts = registry_of(make_plain()), [(1, 1), (2, 1), (2, 2), (4, 3), (7, 1), (5, 8)]
    folders = [draw(tmp_path / f"drawn-{place}", train=both, val=(1, place)) for place, both in enumerate(counts, 1)]

    def train_all(name: str) -> list[Any]:
        options = {"epochs": 2, "optimizer": "sgd", "train": "from:layer1"}
        return [train(folder.with_name(f"{name}-{folder.name}"), registry, folder, **options) for folder in folders]

    alone = train_all("alone")
    first = get_results(size, lambda _rank: train_all("together"))[0]
    for folder, found, expected in zip(folders, first, alone, strict=True):
        require_equal(found, expected, folder.name)


@pytest.mark.breadth
@pytest.mark.parametrize("size", SIZES)
def test_all_processes_have_the_same_weights_and_return_the_same_run(size: int, train: Train, tmp_path: Path) -> None:
    def train_all() -> list[Any]:
        return [train(tmp_path / str(number), **{"epochs": 2, **options}) for number, options in enumerate(DRAWN)]

    first, *others = get_results(size, lambda _rank: train_all())
    for number, options in enumerate(DRAWN):
        found = first[number]
        kinds = {name.partition(".")[0] for name in found.tensors}
        assert kinds >= {"model", "optimizer", *(["average"] if "ema" in options else [])}
        assert found.path == tmp_path / str(number)
        assert found.facts == read_facts(found.path)
        assert found.facts["hardware"]["processes"] == size
        for same in (other[number] for other in others):
            assert are_equal(found.tensors, same.tensors), options
            assert (found.path, found.facts) == (same.path, same.facts)
            assert same.lines == []  # Only the first process prints.


def test_all_processes_start_from_the_weights_of_the_first(train: Train, tmp_path: Path, acme: BackboneSpec) -> None:
    def train_all(rank: int, output: Path) -> Any:
        def build(tag: str | None) -> nn.Module:
            torch.manual_seed(rank)  # This acts like a random source without a seed.
            model = acme.build(tag)
            model.stem[1].running_mean.fill_(rank)
            return model

        return train(output, registry_of(replace(acme, build=build)), train="from:layer2", epochs=1)

    first, other = get_results(2, lambda rank: train_all(rank, tmp_path / "together"))
    assert are_equal(first.tensors, other.tensors)
    assert first.facts["frozen"] == train_all(0, tmp_path / "alone").facts["frozen"]


def test_all_processes_evaluate_the_test_images_with_the_best_weights(
    tmp_path: Path, acme: BackboneSpec, output: Path
) -> None:
    data, registry = draw(tmp_path / "twice", train=(12, 12), val=(5, 5)), registry_of(make_fades(acme))
    shutil.copytree(data / "val", data / "test")  # The metrics for val are known.
    options = {**QUICK, "epochs": 2, "lr": 0.5, "schedule": "constant"}

    def work(_rank: int) -> Any:
        return finetune("fades", data, output=output, registry=registry, **options).facts

    for facts in get_results(2, work):
        assert (facts["best"]["epoch"], facts["epochs"]) == (1, 2)
        assert facts["test"]["confusion"] == facts["val"]["confusion"]
        assert facts["test"]["loss"] == facts["best"]["val_loss"]
