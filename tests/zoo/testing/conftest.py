"""Fixtures that install plugins as pip does: a dist-info folder and a module on sys.path."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Source of a module that declares a good network, and imports nothing heavy.
PREAMBLE = """
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec, hookimpl

ZOO_API = 1
INPUT = dict(size=(3, 8, 8), resize=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def build(tag=None):
    from collections import OrderedDict

    from torch import nn

    def conv(inputs):
        return nn.Sequential(nn.Conv2d(inputs, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(OrderedDict(stem=conv(3), layer1=conv(4), pool=pool, fc=nn.Linear(4, 5)))


def spec(name="NAMESPACE/net", **changes):
    blocks = (BlockSpec("stem", ("stem",)), BlockSpec("layer1", ("layer1",)))
    facts = dict(name=name, family="f", build=build, head=("fc",), blocks=blocks, params=301, license="MIT")
    return BackboneSpec(**{**facts, "num_classes": 5, "input": InputSpec(**INPUT), **changes})


def published(**changes):
    return WeightsSpec(**{**dict(tag="v1", url="https://example.org/v1.safetensors", license="MIT"), **changes})


def photos(**changes):
    return DatasetSpec(**{**dict(name="NAMESPACE/d", description="d", license="MIT", make=print), **changes})


"""


@dataclass
class Shelf:
    """A folder of installed distributions."""

    folder: Path

    def add(self, namespace: str, *specs: str, top: str = "", end: str = "", distribution: str = "") -> None:
        """Install a plugin that lists the given spec expressions, with additional lines at the top or the end."""
        lines = "".join(f"    yield {spec}\n" for spec in specs or ["spec()"])
        hook = f"@hookimpl\ndef zoo_backbones():\n{lines}"
        self.add_module(namespace, f"{top}\n{PREAMBLE}{hook}\n{end}\n", distribution)

    def add_module(self, namespace: str, source: str, distribution: str = "") -> None:
        """Install a plugin with this source."""
        distribution = distribution or f"zoo-{namespace}"
        module = f"kit_{distribution}".replace("-", "_")
        info = self.folder / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[zoo]\n{namespace} = {module}\n")
        (self.folder / f"{module}.py").write_text(source.replace("NAMESPACE", namespace))
        importlib.invalidate_caches()  # Two changes of a folder may have the same timestamp.

    def python(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python with these distributions installed."""
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": path},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """An empty shelf on the path, in addition to zoo's own plugins."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Shelf(folder)
    for name in [name for name in sys.modules if name.startswith("kit_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def far_shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A shelf that only the processes it starts have on their path."""
    return Shelf(tmp_path_factory.mktemp("shelf"))
