from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from zoo.plugin import BackboneSpec
from zoo_tiny import zoo_backbones


@pytest.fixture(scope="session")
def spec() -> BackboneSpec:
    [spec] = zoo_backbones()
    return spec


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: when tests run in parallel, additional threads only slow down such a small network."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
