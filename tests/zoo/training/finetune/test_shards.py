"""Runs on shards."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from interrupted_runs import describe
from made_shards import pack_shards
from quick_runs import QUICK, read_facts
from zoo.errors import DataError
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.training.finetune import finetune


def test_the_model_is_the_same_as_that_of_the_files(registry: Registry, photos: Path, tmp_path: Path) -> None:
    shards = pack_shards(photos, tmp_path / "shards", count=1)
    for name, data in (("one", photos), ("other", shards)):
        finetune("net", data, output=tmp_path / name, registry=registry, **QUICK)
    assert describe(tmp_path / "one") == describe(tmp_path / "other")


def test_a_pattern_is_trained_on_and_evaluated(registry: Registry, photos: Path, tmp_path: Path) -> None:
    pattern = str(pack_shards(photos, tmp_path / "shards") / "{train,val}-{000..002}.tar")
    run = finetune("net", pattern, output=tmp_path / "run", registry=registry, **QUICK)
    assert read_facts(run.path)["data"]["images"] == {"train": 24, "val": 10, "test": 0}
    assert (
        load(run.path, registry=registry).evaluate(pattern, "val", registry=registry)["confusion"]
        == (run.facts["val"]["confusion"])
    )


def test_a_missing_shard_is_an_error_before_anything_is_built(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 2 shards do not exist"):
        finetune("net", str(tmp_path / "train-{0..1}.tar"), output=tmp_path / "run", registry=registry, **QUICK)
    assert not (tmp_path / "run").exists()


def test_nothing_is_unpacked(registry: Registry, photos: Path, tmp_path: Path, own_cache: Path) -> None:
    shards = pack_shards(photos, tmp_path / "shards")
    before = sorted(tmp_path.rglob("*"))
    finetune("net", shards, output=tmp_path / "run", registry=registry, **QUICK)
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "run")) == before
    assert not (own_cache / "data").exists()
    assert all(tarfile.is_tarfile(path) for path in shards.iterdir())
