"""Find unlisted backbones: timm's names with a tag, and backbones that only the installed timm has."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from typing import TYPE_CHECKING

from zoo_timm.catalog import packaged_catalog

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec
    from zoo_timm.catalog import Catalog


def find_backbone(name: str, catalog: Catalog | None = None) -> BackboneSpec | None:
    """Find a backbone such as ``vgg16`` or ``vgg16.tv_in1k``. With a tag, the weights with that tag come first.

    If the catalog lacks a name, timm is imported only if the installed version differs from the one in the catalog.
    """
    catalog = catalog or packaged_catalog()
    architecture, _, tag = name.partition(".")
    listed = catalog.backbones.get(architecture)
    found = _with_tag_first(listed, tag) if listed else None
    if found is None and catalog.upstream != f"timm=={importlib.metadata.version('timm')}":
        live = _read_live(architecture)
        found = _with_tag_first(live, tag) if live else None
    return found


def _with_tag_first(spec: BackboneSpec, tag: str) -> BackboneSpec | None:
    if not tag:
        return spec
    if tag not in [weights.tag for weights in spec.weights]:
        return None
    return replace(spec, weights=tuple(sorted(spec.weights, key=lambda weights: weights.tag != tag)))


def _read_live(architecture: str) -> BackboneSpec | None:
    import timm

    if architecture not in timm.list_models():
        return None
    from zoo_timm.reading import read_backbone

    return read_backbone(architecture)
