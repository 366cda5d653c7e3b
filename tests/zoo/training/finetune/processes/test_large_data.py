"""Several processes examine the images of a large data set together, and have the same result as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from made_registries import registry_of
from made_shards import pack_shards
from plain import make_plain
from worlds import get_results


def test_two_processes_leave_out_the_same_images_of_shards_as_one(
    train: Callable[..., Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_EXAMINED_IMAGES", "10")
    images = sorted(photos.glob("*/*/*"))
    for path in images[::5]:
        path.write_bytes(path.read_bytes()[:60])
    shards = pack_shards(photos, tmp_path / "shards")
    registry = registry_of(make_plain())

    def run(name: str) -> Any:
        options = {"epochs": 2, "optimizer": "sgd", "augment": "crop-flip", "batch_size": 12}
        return train(tmp_path / name, registry, shards, **options)

    alone = run("alone")
    first, second = get_results(2, lambda _rank: run("together"))
    torch.testing.assert_close(first.tensors, alone.tensors, rtol=0, atol=1e-5)
    assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())
    assert first.facts["data"]["left_out"] == alone.facts["data"]["left_out"]
    assert len(alone.facts["data"]["left_out"]) == len(images[::5])
    assert first.facts["val"]["confusion"] == alone.facts["val"]["confusion"]
