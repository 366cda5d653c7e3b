"""Features that several processes compute together, once per image, and that later runs use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import zoo.engine.features.features
from worlds import get_results, in_world
from zoo.engine.features.extractor import NUM_VERIFIED, Extractor
from zoo.errors import CacheError
from zoo.files.cache import list_entries

Train = Callable[..., Any]
#: Number of photos in train and val together.
IMAGES = 34
KEPT = f"features of {IMAGES} images: cached by an earlier run"
FEATURES: dict[str, Any] = {"train": "head", "epochs": 2}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches for which this process computes features."""
    counts: list[int] = []
    take = Extractor._take

    def note(extractor: Extractor, images: Tensor) -> Tensor:
        counts.append(len(images))
        return take(extractor, images)

    monkeypatch.setattr(Extractor, "_take", note)
    return counts


@pytest.fixture
def use_own_machine(tmp_path: Path) -> Callable[[int], None]:
    """Return a function that gives a process its own cache, as if it ran on another machine."""

    def go(rank: int) -> None:
        os.environ |= {"ZOO_CACHE": str(tmp_path / f"cache-{rank}"), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}

    return go


def find_features(cache: Path) -> Path:
    (path,) = (cache / "features").glob("*.safetensors")
    return path


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.breadth), 3])
def test_processes_share_the_images_and_write_the_same_features_as_one(
    train: Train, tmp_path: Path, own_cache: Path, computed: list[int], *, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_rank: int) -> tuple[list[int], Any]:
        run = train(tmp_path / "together", **FEATURES)
        return list(computed), run.facts["best"]

    shares = get_results(size, work)
    sizes = [sum(counts) for counts, _ in shares]
    assert sum(sizes) == IMAGES
    assert max(sizes) - min(sizes) <= 1
    later = train(tmp_path / "later", **FEATURES)
    assert KEPT in later.lines
    assert sum(computed) == NUM_VERIFIED  # zoo compares cached features with a few that it computes again.
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "other"))
    train(tmp_path / "alone", **FEATURES)
    found, expected = find_features(own_cache), find_features(tmp_path / "other")
    assert found.name == expected.name
    torch.testing.assert_close(load_file(found), load_file(expected), rtol=0, atol=1e-6)


def test_features_of_one_process_are_used_by_several(train: Train, tmp_path: Path, computed: list[int]) -> None:
    train(tmp_path / "alone", **FEATURES)
    computed.clear()

    def work(_rank: int) -> tuple[int, list[str]]:
        lines = train(tmp_path / "together", **FEATURES).lines
        return sum(computed), lines

    (first, lines), (other, _) = get_results(2, work)
    assert KEPT in lines
    assert first == other == NUM_VERIFIED


@pytest.mark.parametrize(
    "has_it", [pytest.param((), marks=pytest.mark.breadth), pytest.param((0,), marks=pytest.mark.breadth), (1,)]
)
def test_each_machine_caches_all_features(
    train: Train, use_own_machine: Callable[[int], None], tmp_path: Path, computed: list[int], has_it: tuple[int, ...]
) -> None:
    for rank in has_it:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("ZOO_CACHE", str(tmp_path / f"cache-{rank}"))
            train(tmp_path / "before", **FEATURES)

    def work(rank: int) -> tuple[int, bool]:
        use_own_machine(rank)
        computed.clear()
        lines = train(tmp_path / "together", **FEATURES).lines
        return sum(computed) - NUM_VERIFIED * (rank in has_it), KEPT in lines

    assert get_results(2, work) == [(IMAGES // 2, False)] * 2
    one, other = (find_features(tmp_path / f"cache-{rank}") for rank in range(2))
    assert one.name == other.name
    torch.testing.assert_close(load_file(one), load_file(other), rtol=0, atol=1e-6)


@pytest.mark.parametrize("full", [pytest.param(0, marks=pytest.mark.breadth), 1])
def test_if_one_cache_is_full_no_process_uses_features(
    train: Train, use_own_machine: Callable[[int], None], tmp_path: Path, full: int
) -> None:
    def work(rank: int) -> tuple[list[str], int]:
        use_own_machine(rank)
        if rank == full:
            os.environ["ZOO_CACHE_LIMIT"] = "100"
        return train(tmp_path / "run", **FEATURES).lines, len(list_entries("features"))

    (lines, kept), (_, others) = get_results(2, work)
    (note,) = [line for line in lines if line.startswith("note: frozen features are computed in every epoch: ")]
    assert "but ZOO_CACHE_LIMIT allows only 100" in note
    assert (": rank 1: " in note) == (full == 1)
    assert kept == others == 0
    assert any(line.startswith("best: epoch") for line in lines)


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.breadth), 1])
def test_if_one_machine_cannot_write_features_all_processes_fail(
    train: Train, use_own_machine: Callable[[int], None], output: Path, victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 0.3)

    def fail(*_: object) -> Tensor:
        raise CacheError("the disk is full")

    def work(rank: int) -> None:
        use_own_machine(rank)
        if rank == victim:
            monkeypatch.setattr(zoo.engine.features.features, "store_rows", fail)
        train(output, **FEATURES)

    errors = [ended.raised.partition("\n")[0] for ended in in_world(2, work)]
    assert errors == (
        ["CacheError: the disk is full", "CacheError: rank 1: rank 0: the disk is full"]
        if victim == 0
        else ["CacheError: rank 1: the disk is full", "CacheError: rank 1: the disk is full"]
    )
