"""The known checkpoints, as ``checkpoints.toml`` states them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from zoo_transformers.architecture import NUM_CLASSES, Architecture
from zoo_transformers.facts import Checkpoint

CHECKPOINTS = Path(__file__).with_name("checkpoints.toml")


def read_known() -> dict[str, tuple[Architecture, Checkpoint | None]]:
    """Return the architecture and the weights of every known backbone, by its name."""
    return {
        name: (_make_architecture(family, row), _make_checkpoint(name, family, row))
        for family in _load()["family"]
        for name, row in family["backbones"].items()
    }


def read_excluded() -> dict[str, str]:
    """Return the classes that no backbone uses, each with the reason."""
    excluded: dict[str, str] = _load()["excluded"]
    return excluded


def _load() -> dict[str, Any]:
    return tomllib.loads(CHECKPOINTS.read_text(encoding="utf-8"))


def _make_architecture(family: dict[str, Any], row: dict[str, Any]) -> Architecture:
    import transformers

    return Architecture(
        family["class"],
        getattr(transformers, family["class"]).config_class.__name__,
        {**family.get("config", {}), **row.get("config", {})},
        family.get("processor"),
        {**family.get("preprocessing", {}), **row.get("preprocessing", {})},
    )


def _make_checkpoint(name: str, family: dict[str, Any], row: dict[str, Any]) -> Checkpoint | None:
    if "owner" not in family:
        return None
    return Checkpoint(f"{family['owner']}/{row.get('repository', name)}", row.get("labels", NUM_CLASSES) or None)
