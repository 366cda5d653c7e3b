"""A plugin with a tiny real network, and photos that it can learn to tell apart in a second."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from published import ONE, TWO
from zoo.loading import Plugin
from zoo.plugin import BackboneSpec, BlockSpec, InputSpec
from zoo.registry import Registry
from zoo.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUT = InputSpec(size=(3, 16, 16), resize=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def build_acme(_tag: str | None) -> nn.Module:
    """Build a network with all that freezing can get wrong: batch norms, dropouts, a buffer, a hidden classifier."""
    from collections import OrderedDict

    from torch import nn

    def conv(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, stride=2), nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1)
        )

    return nn.Sequential(
        OrderedDict(
            stem=conv(3, 8),
            layer1=conv(8, 8),
            layer2=conv(8, 16),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 10)),
        )
    )


@pytest.fixture
def acme() -> BackboneSpec:
    """The spec of the tiny network; its weights must be given as a file, or be none."""
    blocks = ("stem", "layer1", "layer2")
    return BackboneSpec(
        name="acme/net",
        family="acme",
        build=build_acme,
        head=("classifier.3",),
        classifier="classifier",
        blocks=(*(BlockSpec(name, (name,)) for name in blocks), BlockSpec("hidden", ("classifier.0",))),
        num_classes=10,
        params=2374,
        licence="MIT",
        input=INPUT,
    )


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
    return Registry([plugin], Settings())


def draw_photos(folder: Path, *, per_class: int, classes: tuple[str, ...] = ("blue", "red"), seed: int = 0) -> None:
    """Draw noisy images of one colour per class into ``folder/CLASS``."""
    import torch
    from PIL import Image

    generator = torch.Generator().manual_seed(seed)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            pixels = torch.randint(0, 120, (3, 20, 24), generator=generator, dtype=torch.uint8)
            pixels[index % 3] += 120
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / name / f"{number}.png")


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
        from zoo.finetuning import finetune

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
