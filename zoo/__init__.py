"""zoo: fine-tune any image backbone with one command, or one call.

    import zoo

    zoo.list_backbones()
    model = zoo.build("resnet18", num_classes=2)
    run = zoo.finetune("resnet18", data="photos/", epochs=5)
    classifier = zoo.load(run)

Names are imported when they are first used, so ``import zoo`` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.errors import ZooError
    from zoo.models import surgery
    from zoo.models.build import build
    from zoo.models.freeze_module import freeze
    from zoo.models.inspected import Inspection, ModuleInfo
    from zoo.models.weights.convert import Converted, convert_weights
    from zoo.registry.recipe import Recipe
    from zoo.registry.registry import list_backbones
    from zoo.runs.classifier import Classifier, load
    from zoo.runs.compare import Compared, compare_runs
    from zoo.runs.embed import embed
    from zoo.runs.embeddings import Embeddings
    from zoo.runs.export.export import Export, export_run
    from zoo.runs.export.push import Pushed, push
    from zoo.runs.inspect import inspect
    from zoo.runs.loaded_model import build_transform
    from zoo.runs.prediction import Prediction
    from zoo.training.finetune import finetune
    from zoo.training.label_check import LabelCheck, check_labels
    from zoo.training.lr_find import FoundRate, find_lr
    from zoo.training.rank.rank import rank
    from zoo.training.rank.record import Ranked
    from zoo.training.run import Run
    from zoo.training.show import Sheet, show

_HOMES = {
    "Classifier": "zoo.runs.classifier",
    "Compared": "zoo.runs.compare",
    "Converted": "zoo.models.weights.convert",
    "Export": "zoo.runs.export.export",
    "Embeddings": "zoo.runs.embeddings",
    "FoundRate": "zoo.training.lr_find",
    "LabelCheck": "zoo.training.label_check",
    "Prediction": "zoo.runs.prediction",
    "Pushed": "zoo.runs.export.push",
    "Inspection": "zoo.models.inspected",
    "ModuleInfo": "zoo.models.inspected",
    "Ranked": "zoo.training.rank.record",
    "Recipe": "zoo.registry.recipe",
    "Run": "zoo.training.run",
    "Sheet": "zoo.training.show",
    "ZooError": "zoo.errors",
    "build": "zoo.models.build",
    "build_transform": "zoo.runs.loaded_model",
    "check_labels": "zoo.training.label_check",
    "compare_runs": "zoo.runs.compare",
    "convert_weights": "zoo.models.weights.convert",
    "export_run": "zoo.runs.export.export",
    "embed": "zoo.runs.embed",
    "find_lr": "zoo.training.lr_find",
    "finetune": "zoo.training.finetune",
    "freeze": "zoo.models.freeze_module",
    "inspect": "zoo.runs.inspect",
    "list_backbones": "zoo.registry.registry",
    "load": "zoo.runs.classifier",
    "push": "zoo.runs.export.push",
    "rank": "zoo.training.rank.rank",
    "show": "zoo.training.show",
}

#: Names that are modules.
_MODULES = {"surgery": "zoo.models.surgery"}

__all__ = [
    "Classifier",
    "Compared",
    "Converted",
    "Embeddings",
    "Export",
    "FoundRate",
    "Inspection",
    "LabelCheck",
    "ModuleInfo",
    "Prediction",
    "Pushed",
    "Ranked",
    "Recipe",
    "Run",
    "Sheet",
    "ZooError",
    "build",
    "build_transform",
    "check_labels",
    "compare_runs",
    "convert_weights",
    "embed",
    "export_run",
    "find_lr",
    "finetune",
    "freeze",
    "inspect",
    "list_backbones",
    "load",
    "push",
    "rank",
    "show",
    "surgery",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
