"""zoo's plugin for timm: every timm backbone, listed from a catalog and built by timm.

Source: https://github.com/huggingface/pytorch-image-models, Apache-2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.plugin import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.plugin import BackboneSpec

ZOO_API = 2


@hookimpl
def zoo_backbones() -> Iterable[BackboneSpec]:
    """List all backbones in the catalog, without importing timm."""
    from zoo_timm.catalog import packaged_catalog

    return packaged_catalog().backbones.values()


@hookimpl
def zoo_find_backbone(name: str) -> BackboneSpec | None:
    """Find a backbone by timm's own name (``vgg16.tv_in1k``), or one that only the installed version of timm has."""
    from zoo_timm.find import find_backbone

    return find_backbone(name)
