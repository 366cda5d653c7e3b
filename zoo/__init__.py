"""zoo: fine-tune any image backbone with one command, or one call.

    import zoo

    zoo.list_backbones()
    model = zoo.build("resnet18", num_classes=2)
    run = zoo.finetune("resnet18", data="photos/", epochs=5)
    classifier = zoo.load(run)

Names are imported when they are first used, so that ``import zoo`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.backbone import build
    from zoo.classifier import Classifier, Prediction, load
    from zoo.comparison import Compared, compare_runs
    from zoo.errors import ZooError
    from zoo.finetuning import Run, finetune
    from zoo.rates import FoundRate, find_lr
    from zoo.recipe import Recipe
    from zoo.registry import list_backbones

_HOMES = {
    "Classifier": "zoo.classifier",
    "Compared": "zoo.comparison",
    "FoundRate": "zoo.rates",
    "Prediction": "zoo.classifier",
    "Recipe": "zoo.recipe",
    "Run": "zoo.finetuning",
    "ZooError": "zoo.errors",
    "build": "zoo.backbone",
    "compare_runs": "zoo.comparison",
    "find_lr": "zoo.rates",
    "finetune": "zoo.finetuning",
    "list_backbones": "zoo.registry",
    "load": "zoo.classifier",
}

__all__ = [
    "Classifier",
    "Compared",
    "FoundRate",
    "Prediction",
    "Recipe",
    "Run",
    "ZooError",
    "build",
    "compare_runs",
    "find_lr",
    "finetune",
    "list_backbones",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
