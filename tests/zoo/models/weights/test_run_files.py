"""The model file of a run as the initial weights of another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from acme import INPUT
from zoo.errors import WeightsError
from zoo.models.build import build_backbone
from zoo.models.head import replace_head
from zoo.models.weights.choose import WeightsSource, choose_input, choose_weights
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.head_design import HeadDesign
from zoo.registry.resolved import Resolved


def choose_file(path: Path, acme: BackboneSpec) -> WeightsSource:
    return choose_weights(Resolved("acme/net", acme, None), str(path))


def write_run(model: nn.Module, path: Path, **changes: object) -> Path:
    """Write the model file of a run."""
    header = Header("acme/net", None, "linear", ("a", "b", "c"), INPUT, "none", "none")
    save_file(model.state_dict(), path, metadata=replace(header, **changes).to_metadata())  # type: ignore[arg-type]
    return path


def test_the_license_in_the_file_of_a_run_is_read(acme: BackboneSpec, tmp_path: Path) -> None:
    path = write_run(acme.build(None), tmp_path / "model.safetensors", weights_license="CC-BY-NC-4.0")
    assert choose_file(path, acme).license == "CC-BY-NC-4.0"


def test_the_file_of_a_run_with_another_backbone_is_refused(acme: BackboneSpec, tmp_path: Path) -> None:
    path = write_run(acme.build(None), tmp_path / "model.safetensors", backbone="acme/other")
    with pytest.raises(WeightsError, match=r"is the model of a run with acme/other, not with acme/net"):
        choose_file(path, acme)


def test_the_file_of_a_run_with_another_tag_is_refused(acme: BackboneSpec, tmp_path: Path) -> None:
    path = write_run(acme.build(None), tmp_path / "model.safetensors", tag="V1", weights="V1")
    with pytest.raises(WeightsError, match=r"is the model of a run with acme/net@V1, not with acme/net@V2; leave out"):
        choose_weights(Resolved("acme/net@V2", acme, "V2"), str(path))


def test_the_file_of_a_run_decides_the_tag_and_the_input(acme: BackboneSpec, tmp_path: Path) -> None:
    given = replace(INPUT, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    path = write_run(acme.build(None), tmp_path / "model.safetensors", tag="V1", weights="V1", input=given)
    source = choose_file(path, acme)
    assert source.tag == "V1"
    assert choose_input(acme, source) == given


def test_a_file_with_a_damaged_header_is_refused(acme: BackboneSpec, tmp_path: Path) -> None:
    metadata = {"zoo_format": "1", "backbone": "acme/net"}
    save_file(acme.build(None).state_dict(), tmp_path / "model.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match=r"model\.safetensors has a damaged header: "):
        choose_file(tmp_path / "model.safetensors", acme)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64])
def test_whole_numbers_in_place_of_weights_are_refused(acme: BackboneSpec, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = acme.build(None).state_dict()
    tensors["stem.0.weight"] = tensors["stem.0.weight"].to(dtype)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"it has the wrong kind of numbers \(integer, float or complex\) in stem\.0\.weight"
    ):
        build_backbone(acme, choose_file(tmp_path / "model.safetensors", acme), Silent())


@pytest.mark.parametrize("classifier", ["classifier", None])
def test_the_file_of_a_run_with_an_mlp_head_is_loaded_except_for_the_head(
    classifier: str | None, acme: BackboneSpec, tmp_path: Path
) -> None:
    acme = replace(acme, classifier=classifier)
    model = acme.build(None)
    replace_head(acme, model, 3, HeadDesign((5, 4)))
    chosen = choose_file(write_run(model, tmp_path / "model.safetensors", head="mlp:5,4"), acme)
    loaded, _ = build_backbone(acme, chosen, Silent())
    wanted, found = model.state_dict(), loaded.state_dict()
    replaced = classifier or "classifier.3"
    kept = [name for name in found if not name.startswith(replaced)]
    assert kept
    assert all(torch.equal(found[name], wanted[name]) for name in kept)
