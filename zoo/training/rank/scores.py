"""The scores of a candidate, which are kept in the cache folder: the same content is never scored twice.

The speed is not kept, because it depends on what else the machine does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.files.atomic import atomic_write
from zoo.files.cache import cache_folder, make_key, writing_cache
from zoo.files.paths import read_file
from zoo.files.schema import RankScores
from zoo.files.validation import Invalid, parse_json

KIND = "ranked"
#: Version of the scores, to be increased when zoo computes them differently.
FORMAT = 2


@dataclass(frozen=True)
class Scores:
    """How well the features of a candidate predict the labels."""

    #: Whether the probe of the other folds, and the nearest neighbors in them, classify each image correctly: bool of
    #: shape (N,).
    correct: Tensor
    knn: Tensor
    loss: float
    logme: float
    #: Size of the weights file in bytes.
    bytes: int


def find_scores(about: Mapping[str, Any], count: int) -> Scores | None:
    """Return the cached scores with exactly this description, or None if there are none or they are damaged.

    Args:
        about: Description of everything that determines the scores.
        count: Number of images.
    """
    try:
        found = parse_json(read_file(_path_of(about)), RankScores)
    except (OSError, Invalid):
        return None
    if not len(found["correct"]) == len(found["knn"]) == count:
        return None
    return Scores(
        correct=_parse(found["correct"]),
        knn=_parse(found["knn"]),
        loss=found["loss"],
        logme=found["logme"],
        bytes=found["bytes"],
    )


def store_scores(about: Mapping[str, Any], scores: Scores) -> None:
    """Write scores to the cache folder.

    Raises:
        CacheError: If the folder cannot be written.
    """
    path = _path_of(about)
    content = {**vars(scores), "correct": _format(scores.correct), "knn": _format(scores.knn)}
    with writing_cache(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_text(json.dumps(content), encoding="ascii")


def _path_of(about: Mapping[str, Any]) -> Path:
    return cache_folder() / KIND / f"{make_key(about)}.json"


def _format(values: Tensor) -> str:
    """Return a digit for each image."""
    return "".join("1" if value else "0" for value in values.tolist())


def _parse(digits: str) -> Tensor:
    return torch.tensor([digit == "1" for digit in digits])
