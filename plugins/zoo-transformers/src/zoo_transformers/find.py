"""Find unlisted backbones: any image classifier on the Hugging Face Hub, by its repository."""

from __future__ import annotations

import importlib.metadata
import re
from typing import TYPE_CHECKING

from zoo_transformers.catalog import packaged_catalog

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec
    from zoo_transformers.catalog import Catalog

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def find_backbone(name: str, catalog: Catalog | None = None) -> BackboneSpec | None:
    """Find the backbone of a repository ``owner/name``, whose configuration is fetched unless it is in the catalog.

    Raises:
        ValueError: If the repository contains no image classifier that zoo can build and feed, or needs its own code.
        OSError: If the configuration cannot be fetched.
    """
    if not REPOSITORY.fullmatch(name) or ".." in name:
        return None
    if (listed := (catalog or packaged_catalog()).find_repository(name)) is not None:
        return listed
    from zoo_transformers.hub import fetch_json

    config = fetch_json(name, "config.json")
    if config is None:
        return None
    from zoo_transformers.checkpoint import read_checkpoint
    from zoo_transformers.facts import make_spec

    facts, checkpoint = read_checkpoint(name, config, fetch_json(name, "preprocessor_config.json"))
    return make_spec(name, facts, checkpoint, f"transformers=={importlib.metadata.version('transformers')}")
