"""The catalog agrees with the installed timm, and is the same after it is written and read."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import timm
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg, model_entrypoint

from zoo.errors import PluginError
from zoo_timm.add_accuracies import SOURCE, list_accuracies, read_accuracies, with_accuracies
from zoo_timm.catalog import CATALOG, dump_catalog, load_catalog, packaged_catalog
from zoo_timm.cfgs import read_license, read_weights

if TYPE_CHECKING:
    from pathlib import Path

from zoo_timm.catalog import Catalog

same_timm = pytest.mark.usefixtures("cataloged_timm")


@same_timm
def test_all_architectures_are_listed_in_timms_order(catalog: Catalog) -> None:
    assert list(catalog.backbones) == timm.list_models()


@same_timm
def test_exactly_the_pretrained_tags_are_listed(catalog: Catalog) -> None:
    tags = [f"{name}.{weights.tag}" for name, spec in catalog.backbones.items() for weights in spec.weights]
    assert sorted(tags) == sorted(timm.list_pretrained())


@same_timm
def test_the_first_weights_are_timms_default(catalog: Catalog) -> None:
    listed = {name: spec.weights[0].tag for name, spec in catalog.backbones.items() if spec.weights}
    assert listed == {name: get_pretrained_cfg(name).tag for name in listed}


@same_timm
def test_the_family_is_timms_module(catalog: Catalog) -> None:
    families = {name: spec.family for name, spec in catalog.backbones.items()}
    assert families == {name: model_entrypoint(name).__module__.split(".")[-1] for name in families}


@same_timm
def test_inputs_equal_those_that_timm_resolves(catalog: Catalog) -> None:
    for name, spec in catalog.backbones.items():
        for weights in spec.weights:
            wanted = resolve_data_config(pretrained_cfg=get_pretrained_cfg(f"{name}.{weights.tag}").to_dict())
            given = weights.input or spec.input
            assert given.size == wanted["input_size"]
            assert (given.mean, given.std) == (wanted["mean"], wanted["std"])
            assert (given.interpolation, given.crop) == (wanted["interpolation"], wanted["crop_mode"])
            assert given.resize == int(max(given.size[1:]) / wanted["crop_pct"])


@same_timm
def test_weights_are_those_in_timms_cfgs(catalog: Catalog) -> None:
    for name, spec in catalog.backbones.items():
        listed = tuple(replace(weights, lacks=(), accuracy=None) for weights in spec.weights)
        assert listed == read_weights(name)


@same_timm
def test_a_file_without_a_classifier_has_no_classes(catalog: Catalog) -> None:
    for name, spec in catalog.backbones.items():
        for weights in spec.weights:
            assert (weights.num_classes or 0) == get_pretrained_cfg(f"{name}.{weights.tag}").num_classes


def test_accuracies_are_those_of_a_commit_of_timms_repository(catalog: Catalog) -> None:
    assert re.fullmatch(SOURCE.format("[0-9a-f]{40}").replace(".", "[.]"), catalog.accuracies)
    listed = list_accuracies(catalog.backbones.values())
    assert len(listed) > 1000
    assert (listed["vgg16.tv_in1k", 224], listed["resnet50.a1_in1k", 224]) == (71.594, 80.382)


def test_only_weights_for_imagenet_have_an_accuracy(catalog: Catalog) -> None:
    every = [weights for spec in catalog.backbones.values() for weights in spec.weights]
    assert {weights.num_classes for weights in every if weights.accuracy is not None} == {1000}
    assert all(0 < weights.accuracy < 100 for weights in every if weights.accuracy is not None)


def test_accuracies_for_the_size_of_the_input_are_read_from_a_file(catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    rows = ("model,img_size,top1", "vgg16.tv_in1k,224,12.5", "vgg16.tv_in1k,288,60", "other.tag,224,50")
    file.write_text("\n".join(rows), encoding="utf-8")
    (spec,) = with_accuracies([catalog.backbones["vgg16"]], read_accuracies(file))
    assert [weights.accuracy for weights in spec.weights if weights.tag == "tv_in1k"] == [12.5]
    assert [weights.accuracy for weights in spec.weights if weights.tag != "tv_in1k"] == [None] * (
        len(spec.weights) - 1
    )


def test_licenses_are_spdx_or_unknown(catalog: Catalog) -> None:
    found = Counter(weights.license for spec in catalog.backbones.values() for weights in spec.weights)
    plain = {"Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-NC-4.0", "unknown"}
    assert found.keys() >= plain
    assert all(license.startswith("LicenseRef-") for license in found.keys() - plain)


@pytest.mark.parametrize(
    ("stated", "license"),
    [("apache-2.0", "Apache-2.0"), (None, "unknown"), ("", "unknown"), ("gemma", "LicenseRef-gemma")],
)
def test_a_license_becomes_an_spdx_identifier(stated: str | None, license: str) -> None:
    assert read_license(stated) == license


def test_the_hub_is_preferred_and_only_a_url_contains_a_hash(catalog: Catalog) -> None:
    on_hub = catalog.backbones["vgg16"].weights[0]
    assert (on_hub.url, on_hub.sha256) == ("hf://timm/vgg16.tv_in1k/model.safetensors", None)
    by_url = catalog.backbones["legacy_senet154"].weights[0]
    assert by_url.url.startswith("https://")
    assert by_url.sha256 == "e9eb9fe6"


def test_backbones_with_pickles_that_zoo_does_not_read_declare_it(catalog: Catalog) -> None:
    declared = {
        name: dict(spec.expected_failures)
        for name, spec in catalog.backbones.items()
        if "spec.weights" in spec.expected_failures
    }
    assert declared.keys() == {"vit_giant_patch16_gap_224", "vit_huge_patch14_gap_224", "vit_huge_patch16_gap_448"}
    assert declared["vit_huge_patch16_gap_448"] == {
        "spec.weights": "the weights in1k_ijepa are a pickle for which timm has no SHA-256"
    }


def test_a_catalog_is_the_same_after_it_is_written_and_read(catalog: Catalog) -> None:
    text = CATALOG.read_text(encoding="utf-8")
    assert dump_catalog(catalog.upstream, catalog.accuracies, list(load_catalog(text).backbones.values())) == text


def test_all_specs_are_valid() -> None:
    checked = load_catalog(CATALOG.read_text(encoding="utf-8"))
    assert {name: repr(spec) for name, spec in packaged_catalog().backbones.items()} == {
        name: repr(spec) for name, spec in checked.backbones.items()
    }


def test_specs_are_not_checked_when_the_catalog_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = json.loads(CATALOG.read_text(encoding="utf-8"))
    table["backbones"]["vgg16"]["params"] = 0
    wrong = tmp_path / "catalog.json"
    wrong.write_text(json.dumps(table), encoding="utf-8")
    monkeypatch.setattr("zoo_timm.catalog.CATALOG", wrong)
    assert packaged_catalog.__wrapped__().backbones["vgg16"].params == 0
    with pytest.raises(PluginError, match="params=0"):
        load_catalog(wrong.read_text(encoding="utf-8"))


def test_every_backbone_has_blocks_to_freeze(catalog: Catalog) -> None:
    assert [name for name, spec in catalog.backbones.items() if len(spec.blocks) < 2] == []
