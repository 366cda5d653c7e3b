"""Fixtures with a plugin whose real network is tiny, and with photos that it learns to classify in a second."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest

from acme import draw_photos, make_acme
from published import ONE, TWO
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

if TYPE_CHECKING:
    from torch import Tensor


def pytest_configure() -> None:
    """Handle Ctrl-C as usual. Shells make commands in the background ignore it, and child processes inherit this."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Turn off the garbage collector while thousands of tests are collected, none of which is garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exclude the tests and all imported modules from later collections, and from what forked processes touch."""
    gc.enable()
    gc.freeze()


@pytest.fixture
def acme() -> BackboneSpec:
    """The spec of the tiny network, without published weights."""
    return make_acme()


@pytest.fixture
def published(acme: BackboneSpec) -> BackboneSpec:
    """The spec of the tiny network, with published weights."""
    return replace(acme, weights=(ONE, TWO))


@pytest.fixture
def source(acme: BackboneSpec) -> dict[str, Tensor]:
    """The tensors of another instance of the network, whose batch norm statistics are not the initial ones."""
    import torch

    torch.manual_seed(7)
    model = acme.build(None)
    model.train()(torch.randn(4, 3, 16, 16))
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def registry(acme: BackboneSpec) -> Registry:
    """A registry with only the plugin acme."""
    plugin = Plugin("acme", "zoo-acme", "1.0", backbones=(acme,))
    return Registry([plugin], RegistryToml())


@pytest.fixture(scope="session")
def few_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smallest splits that can be trained on: 2 images per class in train, and 1 in val."""
    folder = tmp_path_factory.mktemp("few")
    draw_photos(folder / "train", per_class=2)
    draw_photos(folder / "val", per_class=1, seed=3)
    return folder


def draw_splits(folder: Path) -> Path:
    draw_photos(folder / "train", per_class=12, seed=1)
    draw_photos(folder / "val", per_class=5, seed=2)
    return folder


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the fixture photos copies. Tests only read it."""
    return draw_splits(tmp_path_factory.mktemp("drawn") / "photos")


@pytest.fixture
def photos(drawn_photos: Path, tmp_path: Path) -> Path:
    """A folder of blue and red images, with 12 images per class in train and 5 in val."""
    return shutil.copytree(drawn_photos, tmp_path / "photos")


@pytest.fixture
def leaking(photos: Path, tmp_path: Path) -> Path:
    """A folder in which one val image is also in train."""
    root = tmp_path / "leaking"
    shutil.copytree(photos, root)
    first = min((root / "train").rglob("*.png"))
    shutil.copy(first, root / "val" / first.parent.name / "leak.png")
    return root


@pytest.fixture
def train_once(
    registry: Registry, drawn_photos: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return a function that returns a copy of a run. Each set of options is trained only once for all tests.

    The images of the training are not those of the fixture photos, which tests rename and overwrite.
    """

    def train(**options: Any) -> Path:
        from zoo.training.finetune import finetune

        folder = tmp_path_factory.getbasetemp() / "trained" / "-".join(map(str, options.values()))
        trained = folder / "run"
        if not trained.exists():
            finetune("net", drawn_photos, output=trained, registry=registry, **options)
        return shutil.copytree(trained, tmp_path / "run")

    return train


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Use one thread in torch, also in new processes. With tiny networks, more threads only wait for each other."""
    import torch

    os.environ["OMP_NUM_THREADS"] = os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    torch.set_num_threads(1)
    # This must run before anything is compiled. Otherwise the first backward pass would start threads, and later forks
    # would hang.
    torch.zeros((), requires_grad=True).backward()


@pytest.fixture(autouse=True, scope="session")
def no_fsync() -> Iterator[None]:
    """Leave it to the system when files reach the disk. A run would wait for this longer than it trains."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


def leave_out_the_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's cache, settings and choice of plugins out of the tests."""
    cache.mkdir()
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(cache / "config"))
    for name in ("ZOO_LOAD_PLUGINS", "ZOO_DISABLE_PLUGINS", "ZOO_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return cache


@pytest.fixture(autouse=True, scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of the fixtures that several tests share."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield leave_out_the_user(tmp_path_factory.mktemp("shared") / "cache", monkeypatch)


@pytest.fixture(scope="session")
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that contains the cache folder of each test."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture(autouse=True)
def own_cache(own_caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a test."""
    # A random name, because pytest looks at all existing folders to number a new one.
    return leave_out_the_user(Path(mkdtemp(dir=own_caches)) / "cache", monkeypatch)


@pytest.fixture
def assets() -> Path:
    """The folder with real photos and weights."""
    folder = os.environ.get("ZOO_TEST_ASSETS")
    if not folder:
        pytest.skip("ZOO_TEST_ASSETS is not set, so there are no real photos and weights")
    return Path(folder)
