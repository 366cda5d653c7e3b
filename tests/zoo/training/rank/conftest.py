"""A ranking of the tiny network with two files of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.training.rank.rank import rank as rank_backbones
from zoo.training.rank.record import Ranked

Rank = Callable[..., list[Ranked]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def files(acme: BackboneSpec, tmp_path: Path) -> list[str]:
    """Two files with different weights."""
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = acme.build(None)
        model.train()(torch.randn(4, 3, 16, 16))
        paths.append(str(tmp_path / f"weights{seed}.safetensors"))
        save_file(model.state_dict(), paths[-1])
    return paths


@pytest.fixture
def registry(acme: BackboneSpec, files: list[str]) -> Registry:
    """A registry with a backbone whose weights are here, one whose weights are not, and one without any."""
    here = WeightsSpec(
        tag="HERE", url=Path(files[0]).as_uri(), license="Apache-2.0", num_classes=10, accuracy=70.0
    )  # fmt: skip
    gone = WeightsSpec(tag="GONE", url="https://example.org/gone.safetensors", license="MIT", accuracy=80.0)
    specs = (
        acme,
        replace(acme, name="acme/here", weights=(here,)),
        replace(acme, name="acme/gone", weights=(gone,), params=5_000_000),
    )
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=specs)], RegistryToml())


@pytest.fixture
def rank(registry: Registry) -> Rank:
    """`zoo.rank` with only acme installed."""

    def rank(data: Any, backbones: Any = (), **options: Any) -> list[Ranked]:
        return rank_backbones(
            data, backbones, **{"registry": registry, "workers": 0, "device": "cpu", **options}
        )  # fmt: skip

    return rank
