"""A plugin with a tiny real network, and photos that it can learn to tell apart in a second."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from acme import draw_photos, make_acme
from published import ONE, TWO
from zoo.plugin import BackboneSpec
from zoo.registry.load_plugin import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture
def acme() -> BackboneSpec:
    """The spec of the tiny network; its weights must be given as a file, or be none."""
    return make_acme()


@pytest.fixture
def published(acme: BackboneSpec) -> BackboneSpec:
    """The spec of the tiny network, as if weights of it were published."""
    return replace(acme, weights=(ONE, TWO))


@pytest.fixture
def source(acme: BackboneSpec) -> dict[str, Tensor]:
    """The tensors of another copy of the network, with statistics that are not the initial ones."""
    import torch

    torch.manual_seed(7)
    model = acme.build(None)
    model.train()(torch.randn(4, 3, 16, 16))
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def registry(acme: BackboneSpec) -> Registry:
    """A registry that knows the plugin acme and nothing else."""
    plugin = Plugin("acme", "zoo-acme", "1.0", backbones=(acme,))
    return Registry([plugin], RegistryToml())


@pytest.fixture(scope="session")
def few_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train (2 a class) and val (1 a class): the least that can be trained on."""
    folder = tmp_path_factory.mktemp("few")
    draw_photos(folder / "train", per_class=2)
    draw_photos(folder / "val", per_class=1, seed=3)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with train (12 a class) and val (5 a class) of blue and red images."""
    folder = tmp_path / "photos"
    draw_photos(folder / "train", per_class=12, seed=1)
    draw_photos(folder / "val", per_class=5, seed=2)
    return folder


@pytest.fixture
def train_once(
    registry: Registry, photos: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Give a test a run folder of its own beside its photos, trained once for all tests that ask for these options."""

    def train(**options: Any) -> Path:
        from zoo.training.finetune import finetune

        trained = tmp_path_factory.getbasetemp() / "trained" / "-".join(map(str, options.values()))
        if not trained.exists():
            finetune("net", photos, output=trained, registry=registry, **options)
        return shutil.copytree(trained, tmp_path / "run")

    return train


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Let torch compute in one thread: on tiny networks more of them only wait for each other."""
    import torch

    torch.set_num_threads(1)
    # Before anything is compiled: else this first pass would start threads, and no fork of this process could do one.
    torch.zeros((), requires_grad=True).backward()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's cache, settings and plugin choice out of the tests."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(cache / "config"))
    for name in ("ZOO_LOAD_PLUGINS", "ZOO_DISABLE_PLUGINS", "ZOO_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return cache


@pytest.fixture
def assets() -> Path:
    """The folder with real photos and weights, where there is one."""
    folder = os.environ.get("ZOO_TEST_ASSETS")
    if not folder:
        pytest.skip("ZOO_TEST_ASSETS names no folder with real photos and weights")
    return Path(folder)
