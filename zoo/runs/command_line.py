"""The command that repeats a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from zoo.errors import OptionError
from zoo.registry.recipe import Recipe, make_recipe

#: Options that are flags of ``zoo finetune``; ``--set`` sets the others.
FLAGS = (
    "weights", "head", "train", "epochs", "batch_size", "lr", "optimizer", "schedule", "augment", "views", "patience",
    "label_smoothing", "balance", "label_from", "columns", "split", "image_size", "channels", "baseline", "precision",
    "device", "seed",
)  # fmt: skip


def build_command(facts: Mapping[str, Any]) -> str | None:
    """Return the command that repeats a run, quoted for a POSIX shell.

    Args:
        facts: Content of run.json.

    Returns:
        The command, or None if the data was a Python object, if its path is omitted, if the network was your own, or if
        an option does not exist in this version of zoo or has a different meaning.
    """
    data = facts["data"]
    options = _list_changed(facts["recipe"])
    if options is None or data.get("is_object") or data.get("paths_omitted") or facts.get("network"):
        return None
    weights = options.pop("weights", None)
    backbone = facts["backbone"]
    if weights in (None, "DEFAULT"):
        backbone += f"@{facts['weights']['label']}"
    else:
        options = {"weights": weights, **options}
    words = ["zoo", "finetune", backbone, "--data", data["asked"]]
    for name, value in options.items():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        flag = f"--{name.replace('_', '-')}"
        words += [flag, shown] if name in FLAGS else ["--set", f"{name}={shown}"]
    if (processes := facts["hardware"].get("processes", 1)) > 1:
        words += ["--devices", str(processes)]
    return shlex.join(words)


def _list_changed(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options that differ from their defaults; None if this version cannot set them to the same values."""
    if recipe.get("schedule") == "step":  # Earlier versions lowered the learning rate after each third of the epochs.
        return None
    usual = Recipe()
    decided = usual.list_decided()
    changed = {
        name: value for name, value in recipe.items() if name not in decided and value != getattr(usual, name, None)
    }
    try:
        for name in decided:  # The default of one may depend on the value of another.
            if name in recipe and recipe[name] != make_recipe(changed).list_decided()[name]:
                changed[name] = recipe[name]
    except OptionError:  # A run of a different version of zoo may have other options.
        return None
    return changed
