"""Runs on tables that contain a weight for each image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from interrupted_runs import Interrupts
from quick_runs import QUICK, read_facts
from weighted_tables import write_table
from zoo.errors import OptionError
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.training.finetune import finetune

Train = Callable[[str, Callable[[int], float]], Path]


@pytest.fixture
def train(registry: Registry, photos: Path, tmp_path: Path) -> Train:
    """A function that trains on a table with the weights that a function returns, and returns the run folder."""

    def train_on(name: str, weigh: Callable[[int], float]) -> Path:
        table = write_table(tmp_path / f"{name}.csv", photos, weigh)
        return finetune("net", table, output=tmp_path / name, registry=registry, **QUICK).path

    return train_on


def weights_of(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_weights_of_1_are_the_same_as_no_weights(registry: Registry, tmp_path: Path, train: Train) -> None:
    ones = train("ones", lambda _place: 1)
    table = tmp_path / "plain.csv"
    lines = (tmp_path / "ones.csv").read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    plain = finetune("net", table, output=tmp_path / "plain", registry=registry, **QUICK).path
    assert weights_of(ones) == weights_of(plain)
    assert read_facts(ones)["data"]["fingerprint"] == read_facts(plain)["data"]["fingerprint"]


def test_only_the_ratios_of_the_weights_matter(train: Train) -> None:
    weights: list[Callable[[int], float]] = [lambda _place: 1, lambda _place: 2, lambda place: 1 + place % 2]
    runs = [train(f"{number}", weigh) for number, weigh in enumerate(weights)]
    ones, twos, mixed = (json.loads((run / "history.jsonl").read_text(encoding="utf-8")) for run in runs)
    assert ones["train_loss"] == pytest.approx(twos["train_loss"], rel=1e-5)
    assert ones["train_loss"] != pytest.approx(mixed["train_loss"], rel=1e-3)


def test_a_run_with_images_of_weight_0_is_the_same_as_without_them(
    registry: Registry, tmp_path: Path, train: Train
) -> None:
    weighted = train("weighted", lambda place: place % 3 / 2)
    lines = (tmp_path / "weighted.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if ",train,0.0" not in line]
    assert len(kept) < len(lines)
    (tmp_path / "kept.csv").write_text("\n".join(kept), encoding="utf-8")
    run = finetune("net", tmp_path / "kept.csv", output=tmp_path / "kept", registry=registry, **QUICK)
    assert weights_of(run.path) == weights_of(weighted)
    assert read_facts(run.path)["data"]["fingerprint"] == read_facts(weighted)["data"]["fingerprint"]


def test_val_metrics_ignore_weights(registry: Registry, photos: Path, tmp_path: Path, train: Train) -> None:
    is_val = [image.parts[-3] == "val" for image in sorted(photos.rglob("*.png"))]
    runs = [
        train(f"{weight}", lambda place, weight=weight: weight if is_val[place] else 1 + place % 2)  # type: ignore[misc]
        for weight in (1.0, 0.0, 7.0)
    ]
    metrics = [read_facts(run)["val"] for run in runs]
    assert metrics[0] == metrics[1] == metrics[2]
    result = load(runs[0], registry=registry).evaluate(tmp_path / "0.0.csv", "val", registry=registry)
    assert result["images"] == sum(is_val)


def test_an_evaluation_refuses_weights(registry: Registry, tmp_path: Path, train: Train) -> None:
    classifier = load(train("run", lambda _place: 2), registry=registry)
    with pytest.raises(OptionError, match="an evaluation counts all images alike; leave out weight"):
        classifier.evaluate(tmp_path / "run.csv", columns="weight=sample_weight", registry=registry)


def test_a_run_with_weights_is_resumed_only_with_the_same_weights(
    registry: Registry, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_of_whole = weights_of(train("whole", lambda place: 1 + place % 2))
    Interrupts(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train("run", lambda place: 1 + place % 2)
    changed = write_table(tmp_path / "changed.csv", tmp_path / "photos", lambda place: 1 + place % 3)
    options = {**QUICK, "output": tmp_path / "run", "resume": True, "registry": registry}
    with pytest.raises(OptionError, match="was started with data fingerprint"):
        finetune("net", changed, **options)
    run = finetune("net", tmp_path / "run.csv", **options)
    assert weights_of(run.path) == weights_of_whole
