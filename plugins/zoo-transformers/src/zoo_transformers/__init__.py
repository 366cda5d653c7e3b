"""zoo's plugin for transformers: the image classifiers of Hugging Face, listed from a catalog, built by transformers.

Source: https://github.com/huggingface/transformers, Apache-2.0.
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
    """List all backbones in the catalog, without importing transformers."""
    from zoo_transformers.catalog import packaged_catalog

    return packaged_catalog().backbones.values()


@hookimpl
def zoo_find_backbone(name: str) -> BackboneSpec | None:
    """Find any image classifier on the Hugging Face Hub by its repository, ``owner/name``."""
    from zoo_transformers.find import find_backbone

    return find_backbone(name)
