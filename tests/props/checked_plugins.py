"""Plugins for ``zoo check``, installed in a folder."""

from __future__ import annotations

from pathlib import Path

#: Source of a plugin's module. LISTED stands for its backbones.
SOURCE = """
from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, WeightsSpec, hookimpl

ZOO_API = 2


def build(tag=None):
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


def spec(name, **changes):
    facts = dict(name=name, family="f", build=build, head=("3",), blocks=(BlockSpec("stem", ("0",)),), params=137)
    facts |= dict(num_classes=5, input=InputSpec(size=(3, 8, 8), resize=8), license="MIT")
    return BackboneSpec(**{**facts, "unsupported": {"freezing": "it is one layer and a head"}, **changes})


@hookimpl
def zoo_backbones():
    return [LISTED]
"""


def install(namespace: str, source: str, folder: Path) -> None:
    """Install a plugin with this source in a folder."""
    info = folder / f"zoo_{namespace}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zoo-{namespace}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[zoo]\n{namespace} = checked_{namespace}\n")
    (folder / f"checked_{namespace}.py").write_text(source)
