"""zoo's plugin for torchvision: every classification backbone that torchvision lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.plugin import hookimpl
from zoo_torchvision.specs import list_specs

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec

ZOO_API = 2


@hookimpl
def zoo_backbones() -> tuple[BackboneSpec, ...]:
    """List all backbones in the catalog, without importing torch."""
    return list_specs()
