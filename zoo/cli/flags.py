"""The flags for the options that the library names in its messages."""

from __future__ import annotations

import re

#: Options that have a flag. All others are set by ``--set``.
FLAGS = (
    "adapt", "adapt_options", "allow_host", "augment", "balance", "baseline", "batch_size", "block", "blocks", "cache",
    "channels", "columns", "config", "data", "depth", "device", "devices", "distance", "epochs", "fetch", "finetune",
    "folds", "format", "head", "host", "image_size", "include", "key", "label_from", "label_smoothing",
    "license", "lr", "max_images", "max_params", "max_percentile", "min_images_per_second", "min_probability",
    "model", "optimizer", "output", "overwrite", "patience", "port", "precision", "prefix", "preprocess",
    "recipe", "resume", "schedule", "seed", "split", "top", "train", "truth", "views", "weights",
)  # fmt: skip


def name_flags(message: str) -> str:
    """Replace option names in backticks with flags: ```lr``` becomes ``--lr``, and ```ema``` becomes ``--set ema``."""
    return re.sub(r"`(\w+)`", _name_flag, message)


def _name_flag(match: re.Match[str]) -> str:
    name = match[1]
    if name in FLAGS:
        return f"--{name.replace('_', '-')}"
    from zoo.registry.recipe import Recipe  # only errors and notes need it

    return f"--set {name}" if name in Recipe.__dataclass_fields__ else match[0]
