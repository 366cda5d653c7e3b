"""A run that a stranger has edited: its classes, and all texts of its run.json, are hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from run_facts import make_facts
from zoo.models.build import Network
from zoo.models.head import replace_head
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.registry import Registry
from zoo.runs.model_file import make_header, save_model

MakeRun = Callable[[Path, list[str]], Path]


@pytest.fixture
def make_run(acme: BackboneSpec) -> MakeRun:
    """Return a function that writes the folder of a run with these classes."""

    def make(folder: Path, classes: list[str]) -> Path:
        folder.mkdir(parents=True)
        model = acme.build(None)
        network = Network(
            acme, WeightsSource("none"), HeadDesign(), model, replace_head(acme, model, len(classes), HeadDesign())
        )
        save_model(model, make_header(network, tuple(classes)), folder / "model.safetensors")
        (folder / "run.json").write_text(
            json.dumps(make_facts(recipe={"train": classes[0], "head": classes[1]})), encoding="utf-8"
        )
        return folder

    return make


@pytest.fixture(autouse=True)
def only_acme(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install only the plugin acme."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
