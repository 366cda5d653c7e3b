"""The catalog agrees with the installed transformers, and is the same after it is written and read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo.testing.select import choose_backbones
from zoo_transformers.catalog import CATALOG, dump_catalog, load_catalog, packaged_catalog
from zoo_transformers.known import read_excluded, read_known
from zoo_transformers.reading import read_facts

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec
    from zoo_transformers.catalog import Catalog

same_version = pytest.mark.usefixtures("cataloged_transformers")


def list_classes() -> set[str]:
    """List the image classifiers of the installed transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    listed = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.values()
    return {name for names in listed for name in ((names,) if isinstance(names, str) else names)}


@same_version
def test_every_image_classifier_is_listed_or_excluded_with_a_reason(catalog: Catalog) -> None:
    listed = {entry.facts.architecture.model for entry in catalog.entries.values()}
    assert listed | read_excluded().keys() == list_classes()
    assert not listed & read_excluded().keys()


def test_the_catalog_contains_the_known_checkpoints(catalog: Catalog) -> None:
    known = read_known()
    assert list(catalog.entries) == list(known)
    for name, (architecture, checkpoint) in known.items():
        entry = catalog.entries[name]
        assert entry.checkpoint == checkpoint
        given = entry.facts.architecture
        assert (given.model, given.config, given.processor) == (
            architecture.model, architecture.config, architecture.processor,
        )  # fmt: skip
        assert (given.values, given.preprocessing) == (architecture.values, architecture.preprocessing)


@pytest.mark.breadth
@same_version
@pytest.mark.parametrize(
    "spec",
    choose_backbones(packaged_catalog().backbones.values(), each_family=True),
    ids=lambda spec: spec.name.partition("/")[2],
)
def test_the_catalog_equals_what_is_read_from_transformers(spec: BackboneSpec, catalog: Catalog) -> None:
    name = spec.name.partition("/")[2]
    assert read_facts(read_known()[name][0]) == catalog.entries[name].facts


@same_version
def test_a_small_backbone_equals_what_is_read_from_transformers(catalog: Catalog) -> None:
    assert read_facts(read_known()["resnet-18"][0]) == catalog.entries["resnet-18"].facts


def test_a_catalog_is_the_same_after_it_is_written_and_read(catalog: Catalog) -> None:
    text = CATALOG.read_text(encoding="utf-8")
    assert dump_catalog(catalog.upstream, load_catalog(text).entries) == text


def test_all_specs_are_valid(catalog: Catalog) -> None:
    checked = load_catalog(CATALOG.read_text(encoding="utf-8"))
    assert {name: repr(spec) for name, spec in catalog.backbones.items()} == {
        name: repr(spec) for name, spec in checked.backbones.items()
    }


def test_weights_are_safetensors_of_their_repository_on_the_hub(catalog: Catalog) -> None:
    (weights,) = catalog.backbones["vit-base-patch16-224"].weights
    assert (weights.tag, weights.url) == ("google", "hf://google/vit-base-patch16-224/model.safetensors")


def test_a_license_that_only_the_hub_states_is_unknown(catalog: Catalog) -> None:
    assert {weights.license for spec in catalog.backbones.values() for weights in spec.weights} == {"unknown"}


def test_every_backbone_has_blocks_to_freeze(catalog: Catalog) -> None:
    assert [name for name, spec in catalog.backbones.items() if len(spec.blocks) < 2] == []


def test_a_distilled_model_has_two_heads(catalog: Catalog) -> None:
    spec = catalog.backbones["deit-tiny-distilled-patch16-224"]
    assert spec.head == ("cls_classifier", "distillation_classifier")


def test_a_mask_token_is_unused(catalog: Catalog) -> None:
    assert catalog.backbones["dinov2-small"].unused == ("dinov2.embeddings.mask_token",)


def test_the_readme_lists_the_excluded_classes_and_the_number_of_backbones(catalog: Catalog) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows == read_excluded()
    assert f"{len(catalog.backbones)} backbones" in text
