"""Backbones are ranked by their features, a broken one never ends a ranking, and nothing is computed twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from acme import draw_photos
from recording_progress import RecordingProgress
from zoo.engine.inference_cost import InferenceCost
from zoo.errors import DataError, NameNotFound, OptionError
from zoo.files import versions
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.training.rank import evaluate
from zoo.training.rank.record import Ranked

Rank = Callable[..., list[Ranked]]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the backbones whose features were computed."""
    names: list[str] = []

    def compute(job: Any, *arguments: Any) -> Any:
        names.append(job.weights.label)
        return original(job, *arguments)

    original = evaluate.compute_rows
    monkeypatch.setattr(evaluate, "compute_rows", compute)
    return names


def test_all_facts_about_a_backbone_are_in_its_record(rank: Rank, photos: Path) -> None:
    (record,) = rank(photos)
    assert (record.name, record.backbone, record.weights, record.rank) == ("acme/here@HERE", "acme/here", "HERE", 1)
    assert (record.catalog, record.license, record.params, record.images) == (70.0, "Apache-2.0", 2374, 34)
    assert record.accuracy is not None
    assert record.low is not None
    assert record.high is not None
    assert record.low < record.accuracy <= record.high
    assert record.knn is not None
    assert record.logme is not None
    assert record.bytes
    assert record.images_per_second
    assert record.memory
    assert record.suggested == ("first", "catalog", "neighbors", "probe")


def test_a_network_whose_features_say_nothing_comes_last(rank: Rank, photos: Path, files: list[str]) -> None:
    tensors = load_file(files[1])
    save_file({name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, files[1])
    first, last = rank(photos, [f"net={files[1]}", f"net={files[0]}"])
    assert (first.weights, last.weights) == tuple(files)
    assert (first.rank, last.rank) == (1, 2)


def test_a_network_with_another_head_is_not_suggested_again(rank: Rank, photos: Path, files: list[str]) -> None:
    tensors = load_file(files[0])
    head = [name for name, tensor in tensors.items() if tensor.shape[:1] == (10,)]
    save_file({**tensors, **{name: tensors[name] + 1 for name in head}}, files[1])
    assert head
    records = rank(photos, [f"net={file}" for file in files])
    assert [bool(record.suggested) for record in records] == [True, False]


def test_test_images_are_not_used(rank: Rank, photos: Path) -> None:
    shutil.copytree(photos / "val", photos / "test")
    assert rank(photos)[0].images == 34


def test_data_without_val_is_ranked(rank: Rank, photos: Path) -> None:
    assert rank(photos / "train")[0].images == 24


def test_max_images_limits_the_number_of_images(rank: Rank, photos: Path) -> None:
    progress = RecordingProgress()
    assert rank(photos, max_images=20, progress=progress)[0].images == 20
    assert "note: ranking on 20 of 34 images; see `max_images`" in progress.lines


def test_a_broken_candidate_is_a_record_with_the_reason(rank: Rank, photos: Path, files: list[str]) -> None:
    save_file({"other": torch.zeros(2)}, files[1])
    good, *bad = rank(photos, [f"net={files[1]}", "net=nowhere.safetensors", "gone", f"net={files[0]}"])
    assert good.weights == files[0]
    assert [record.rank for record in bad] == [None, None, None]
    assert ["does not match" in str(bad[0].problem), "no file" in str(bad[1].problem)] == [True, True]
    assert bad[2].problem == "its weights are not on this machine; add `fetch` to download them"


def test_an_exception_in_a_plugin_is_a_reason_too(
    acme: BackboneSpec, rank: Rank, photos: Path, files: list[str]
) -> None:
    def build(_tag: str | None) -> Any:
        raise ZeroDivisionError("why")

    spec = replace(acme, name="acme/bad", build=build)
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(acme, spec))], RegistryToml())
    good, bad = rank(photos, [f"bad={files[0]}", f"net={files[0]}"], registry=registry)
    assert good.rank == 1
    assert "ZeroDivisionError: why" in str(bad.problem)


def test_features_that_are_not_finite_are_a_reason(
    rank: Rank, photos: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "compute_rows", lambda *_: torch.full((34, 2), torch.nan))
    (record,) = rank(photos, f"net={files[0]}")
    assert record.problem == "its features are not finite for 34 of 34 images."


def test_a_slow_network_is_left_out_before_its_features_are_computed(
    rank: Rank, photos: Path, computed: list[str]
) -> None:
    (record,) = rank(photos, min_images_per_second=1e9)
    assert "images per second, fewer than `min_images_per_second`" in str(record.problem)
    assert computed == []


def test_the_scores_of_a_candidate_are_computed_once(rank: Rank, photos: Path, computed: list[str]) -> None:
    assert list_facts(rank(photos)) == list_facts(rank(photos))
    assert computed == ["HERE"]


def test_the_speed_is_measured_in_each_ranking(
    rank: Rank, photos: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = []
    for speed in (100.0, 200.0):
        monkeypatch.setattr(evaluate, "measure_cost", lambda *_, speed=speed: InferenceCost(speed, 1))
        speeds += [record.images_per_second for record in rank(photos)]
    assert (speeds, computed) == ([100.0, 200.0], ["HERE"])


def test_an_upgrade_of_the_upstream_is_scored_again(
    registry: Registry, rank: Rank, photos: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (plugin,) = registry.plugins
    specs = tuple(replace(spec, upstream="click==1.0") for spec in plugin.backbones)
    upgraded = Registry([replace(plugin, backbones=specs)], RegistryToml())
    original = versions.read_version
    for version in ("1.0", "1.0", "1.1"):
        read = {"click": version}
        monkeypatch.setattr(versions, "read_version", lambda name, read=read: read.get(name) or original(name))
        rank(photos, registry=upgraded)
    assert len(computed) == 2


def list_facts(records: list[Ranked]) -> list[Ranked]:
    """Return the records without the speeds, which are measured again."""
    return [replace(record, images_per_second=None) for record in records]


def test_an_interrupted_ranking_continues(
    rank: Rank, photos: Path, files: list[str], computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"net={file}" for file in files]
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "cross_validate", _interrupt_second(evaluate.cross_validate))
        with pytest.raises(KeyboardInterrupt):
            rank(photos, names)
    assert len(rank(photos, names)) == 2
    assert computed == ["weights1.safetensors", "weights2.safetensors", "weights2.safetensors"]


def _interrupt_second(original: Callable[..., Any]) -> Callable[..., Any]:
    calls: list[int] = []

    def call(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    return call


@pytest.mark.parametrize("change", ["weights", "images", "labels", "seed"])
def test_other_content_is_scored_again(
    rank: Rank, photos: Path, files: list[str], computed: list[str], change: str
) -> None:
    rank(photos, f"net={files[0]}")
    if change == "weights":
        shutil.copy(files[1], files[0])
    if change == "images":
        draw_photos(photos / "train", per_class=1, seed=9)
    if change == "labels":
        next((photos / "train" / "red").iterdir()).rename(photos / "train" / "blue" / "moved.png")
    rank(photos, f"net={files[0]}", seed=int(change == "seed"))
    assert len(computed) == 2


def test_damaged_scores_are_computed_again(rank: Rank, photos: Path, cache: Path, computed: list[str]) -> None:
    before = rank(photos)
    (path,) = (cache / "ranked").iterdir()
    path.write_text('{"correct": "1"}', encoding="utf-8")
    assert rank(photos)[0].accuracy == before[0].accuracy
    assert len(computed) == 2


def test_one_class_is_an_error(rank: Rank, photos: Path) -> None:
    shutil.rmtree(photos / "train" / "red")
    shutil.rmtree(photos / "val" / "red")
    with pytest.raises(DataError, match="only the class 'blue'"):
        rank(photos)


def test_unreadable_images_are_reported(rank: Rank, photos: Path) -> None:
    damaged = next(photos.glob("train/*/*"))
    damaged.write_bytes(b"")
    progress = RecordingProgress()
    rank(photos, progress=progress)
    assert f"skipped 1 file: {str(damaged)!r}: the file is empty" in progress.lines


def test_one_image_per_class_is_an_error(rank: Rank, tmp_path: Path) -> None:
    draw_photos(tmp_path / "two", per_class=1)
    with pytest.raises(DataError, match="at least 2 images of each class, but 'blue' has 1"):
        rank(tmp_path / "two")


def test_two_images_per_class_are_enough(rank: Rank, tmp_path: Path) -> None:
    draw_photos(tmp_path / "four", per_class=2)
    assert rank(tmp_path / "four")[0].images == 4


def test_an_unknown_name_is_an_error_before_the_images_are_read(rank: Rank) -> None:
    with pytest.raises(NameNotFound, match="no backbone 'nothing'"):
        rank("nowhere", "nothing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 3}, "`epochs` changes only runs"),
        ({"recipe": "x"}, "`recipe` changes only runs"),
        ({"weights": "none"}, "`weights` belong to a single backbone"),
        ({"max_images": 1}, "`max_images` must be a whole number from 2"),
        ({"finetune": -1}, "`finetune` must be a whole number"),
        ({"output": "runs"}, "`output` changes only runs"),
        ({"min_images_per_second": float("nan")}, "`min_images_per_second` must be a number above 0, got nan"),
        ({"min_images_per_second": float("inf")}, "`min_images_per_second` must be a number above 0, got inf"),
        ({"min_images_per_second": 0}, "`min_images_per_second` must be a number above 0"),
        ({"min_images_per_second": -1.5}, "`min_images_per_second` must be a number above 0"),
        ({"max_params": 0}, "`max_params` must be a whole number of at least 1"),
        ({"max_params": float("nan")}, "`max_params` must be a whole number of at least 1"),
        ({"finetune": 1, "epochs": 0}, "epochs must be at least 1"),
    ],
    ids=str,
)
def test_invalid_options_are_refused(rank: Rank, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        rank("nowhere", **options)


def test_weights_that_cannot_be_downloaded_are_a_reason(
    rank: Rank, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    good, bad = rank(photos, "acme/*", fetch=True)
    assert good.name == "acme/here@HERE"
    assert "ZOO_OFFLINE" in str(bad.problem)


def test_several_processes_are_refused(rank: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="single process"):
        rank("nowhere")
