"""The head of an earlier run, when its model is trained further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from acme import INPUT, make_acme
from recording_progress import RecordingProgress
from zoo.errors import WeightsError
from zoo.models.build import Network, attach_head, build_backbone
from zoo.models.head import replace_head
from zoo.models.weights.carry_over import carry_over_head
from zoo.models.weights.choose import choose_weights
from zoo.models.weights.header import Header
from zoo.progress import Silent
from zoo.registry.head_design import HeadDesign
from zoo.registry.resolved import Resolved

ACME = replace(make_acme(), aux_heads=())


def write_run(path: Path, head: str, classes: Sequence[str]) -> dict[str, Tensor]:
    """Write the model file of a run and return its tensors."""
    model = ACME.build(None)
    replace_head(ACME, model, len(classes), HeadDesign.parse(head))
    header = Header("acme/net", None, head, tuple(classes), INPUT, "none", "none")
    save_file(model.state_dict(), path, metadata=header.to_metadata())
    return load_file(path)


def continue_from(path: Path, head: str, classes: Sequence[str]) -> tuple[Network, list[str]]:
    """Build a network from the file, for these classes."""
    source, progress = choose_weights(Resolved("acme/net", ACME, None), str(path)), RecordingProgress()
    model, source = build_backbone(ACME, source, Silent())
    network = attach_head(ACME, source, model, head, len(classes))
    carry_over_head(network, classes, progress)
    return network, progress.lines


@pytest.mark.parametrize("head", ["linear", "mlp:5", "mlp:2,2"])
def test_with_the_same_classes_the_model_is_the_same(tmp_path: Path, head: str) -> None:
    before = write_run(tmp_path / "model.safetensors", head, ["ant", "bee"])
    network, lines = continue_from(tmp_path / "model.safetensors", head, ["ant", "bee"])
    after = network.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert lines == ["note: keeping the head of model.safetensors for ant, bee"]


@pytest.mark.parametrize(("head", "last"), [("linear", "classifier.3"), ("mlp:2,2", "classifier.6")])
def test_rows_are_kept_by_class_name_when_classes_are_added_removed_or_reordered(
    tmp_path: Path, head: str, last: str
) -> None:
    before = write_run(tmp_path / "model.safetensors", head, ["ant", "bee", "cat"])
    network, lines = continue_from(tmp_path / "model.safetensors", head, ["cat", "dog", "ant"])
    after = network.model.state_dict()
    for name in (f"{last}.weight", f"{last}.bias"):
        assert torch.equal(after[name][[0, 2]], before[name][[2, 0]])
        assert not torch.equal(after[name][1], before[name][1])
    assert lines == ["note: keeping the head of model.safetensors for cat, ant; random values for dog"]


@pytest.mark.parametrize(
    ("head", "classes", "note"),
    [
        ("mlp:5", ["ant", "bee"], "the head of model.safetensors (linear: ant, bee) is not used; the new head starts"),
        ("linear", ["cat", "dog"], "is not used, because it has none of these classes; the new head starts"),
    ],
)
def test_a_head_that_is_not_used_is_reported(tmp_path: Path, head: str, classes: list[str], note: str) -> None:
    before = write_run(tmp_path / "model.safetensors", "linear", ["ant", "bee"])
    network, lines = continue_from(tmp_path / "model.safetensors", head, classes)
    assert len(lines) == 1
    assert note in lines[0]
    state = network.model.state_dict()
    assert not any(torch.equal(state[name], before["classifier.3.weight"]) for name in state)


@pytest.mark.parametrize("head", ["linear", "mlp:5"])
@pytest.mark.parametrize("damage", ["classes", "shape", "missing", "nan", "integers"])
def test_a_damaged_head_is_refused_before_the_model_is_changed(tmp_path: Path, head: str, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    tensors = write_run(path, head, ["ant", "bee"])
    name = "classifier.3.bias" if head == "linear" else "classifier.3.weight"
    classes = ("ant", "bee", "cat") if damage == "classes" else ("ant", "bee")
    changes = {"shape": tensors[name][:1], "nan": tensors[name] * float("nan"), "integers": tensors[name].long()}
    if damage in changes:
        tensors[name] = changes[damage]
    if damage == "missing":
        del tensors[name]
    save_file(tensors, path, metadata=Header("acme/net", None, head, classes, INPUT, "none", "none").to_metadata())
    with pytest.raises(WeightsError):
        continue_from(path, head, ["ant", "bee", "cat"])


def test_the_file_of_another_tool_has_no_head_to_keep(tmp_path: Path) -> None:
    save_file(ACME.build(None).state_dict(), tmp_path / "plain.safetensors")
    _, lines = continue_from(tmp_path / "plain.safetensors", "linear", ["ant", "bee"])
    assert lines == []
