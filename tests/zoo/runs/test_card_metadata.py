from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from zoo.plugin import BackboneSpec
from zoo.runs.card_metadata import format_front_matter

library = pytest.importorskip("huggingface_hub")

FACTS: dict[str, Any] = {
    "backbone": "timm/resnet18",
    "weights": {"label": "a1_in1k", "url": "hf://timm/resnet18.a1_in1k/model.safetensors", "license": "Apache-2.0"},
    "classes": ["ant", "bee"],
    "recipe": {"head": "linear"},
    "data": {"asked": "/home/me/photos/"},
    "best": {"val_accuracy": 0.9},
    "test": {"accuracy": 0.8},
}


def read(facts: dict[str, Any], backbone: BackboneSpec) -> Any:
    """Return the metadata that the library of the Hub reads."""
    return library.ModelCard(format_front_matter(facts, backbone) + "# Title\n").data


def test_the_hub_reads_the_license_the_task_and_the_results(acme: BackboneSpec) -> None:
    backbone = replace(acme, constructor='timm.create_model("resnet18", num_classes={num_classes})')
    data = read(FACTS, backbone)
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "timm", "image-classification")
    assert data.base_model == "timm/resnet18.a1_in1k"
    assert data.metrics == ["accuracy"]
    assert data.model_name == "resnet18 for 2 classes"
    results = [
        (item.dataset_name, item.dataset_split, item.metric_type, item.metric_value) for item in data.eval_results
    ]
    assert results == [("photos", "validation", "accuracy", 0.9), ("photos", "test", "accuracy", 0.8)]
    assert "/home" not in format_front_matter(FACTS, backbone)


def test_a_custom_license_and_a_data_set_of_the_hub_are_named(acme: BackboneSpec) -> None:
    facts = {**FACTS, "weights": {**FACTS["weights"], "url": None, "license": "LicenseRef-dinov3-license"}}
    data = read({**facts, "data": {"asked": "hf:owner/set"}}, acme)
    assert (data.license, data.license_name, data.library_name) == ("other", "dinov3-license", "zoo-backbones")
    assert data.datasets == ["owner/set"]
    assert data.base_model is None


@pytest.mark.parametrize("asked", ["a: b", 'quo"te', "---", "\x85\u2028", "- x", "&a *b", "\U0001f41c", "#", "\ud800"])
def test_any_name_of_the_data_is_valid_yaml(acme: BackboneSpec, asked: str) -> None:
    data = read({**FACTS, "data": {"asked": asked}, "weights": {}, "test": None}, acme)
    assert data.license is None
    assert len(data.eval_results) == 1


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("license", ["Apache-2.0", "LicenseRef-dinov3-license", None])
def test_the_card_passes_the_validation_of_the_library(acme: BackboneSpec, license: str | None) -> None:
    facts = {**FACTS, "weights": {**FACTS["weights"], "license": license}}
    text = format_front_matter(facts, acme)
    library.ModelCard(text + "# Title\n").validate()
    with pytest.raises(ValueError, match="invalid metadata"):  # The hub on loopback does read it.
        library.ModelCard(text.replace("image-classification", "nothing", 1) + "# Title\n").validate()
