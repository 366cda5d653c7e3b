"""Runs with networks whose constants stay the same, and with parameters that no gradient reaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import zoo
from interrupted_runs import Interrupts, describe
from masked import FIXED, build_masked, make_masked_registry
from quick_runs import LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.errors import FrozenMoved

CONSTANTS = {name: tensor for name, tensor in build_masked(None).state_dict().items() if name in FIXED}
OWN = {name: value for name, value in QUICK.items() if name != "weights"} | {"image_size": 16, "mean": 0.5, "std": 0.5}


def run(photos: Path, output: Path, changes: Mapping[str, Any] | None = None, **options: Any) -> list[str]:
    """Train the network, and return the reported lines."""
    progress, registry = RecordingProgress(), make_masked_registry(**(changes or {}))
    zoo.finetune("net", photos, output=output, registry=registry, progress=progress, **{**QUICK, **options})
    return progress.lines


def load_model(output: Path) -> dict[str, Tensor]:
    return load_file(output / "model.safetensors")


def are_unchanged(output: Path) -> bool:
    model = load_model(output)
    return all(torch.equal(model[name], constant) for name, constant in CONSTANTS.items())


@pytest.mark.parametrize("changes", [{}, {"fixed": (), "unused": ()}], ids=["declared", "version 1"])
@pytest.mark.parametrize(
    "options",
    [
        {"train": "all", "weight_decay": 0.1},
        {"train": "all", "optimizer": "sgd", "ema": 0.9},
        {"train": "head-then-all", "epochs": 2},
        {"train": "gradual", "epochs": 3},
        {"train": "from:layer1"},
        {"train": "norms,layer1,head"},
    ],
    ids=lambda options: options["train"],
)
def test_constants_are_unchanged_whatever_is_trained(
    photos: Path, output: Path, changes: dict[str, Any], options: dict[str, Any]
) -> None:
    run(photos, output, changes, **options)
    assert are_unchanged(output)
    frozen = read_facts(output)["frozen"]
    assert frozen["before"] == frozen["after"]


def test_constants_and_unused_parameters_count_as_frozen(photos: Path, output: Path) -> None:
    lines = run(photos, output)
    assert read_facts(output)["params"] == {"total": 1490, "learning": 842, "fixed": 640, "unused": 8}
    assert any("842 of 1,490 parameters" in line for line in lines if line.startswith("training "))
    assert "842 of 1,490 parameters" in (output / "README.md").read_text(encoding="utf-8")
    assert "842 of 1,490 parameters" in (output / "report.html").read_text(encoding="utf-8")


def test_a_note_names_the_constants_that_the_trained_part_contains(photos: Path, tmp_path: Path) -> None:
    note = "note: never trained, because of requires_grad=False: 640 parameters in 2 tensors (positions, layer1.mask)"
    assert note in run(photos, tmp_path / "all")
    assert note not in run(photos, tmp_path / "head", train="head")


@pytest.mark.parametrize("train", ["all", "from:layer1"])
def test_constants_in_the_trained_part_do_not_affect_what_is_cached(photos: Path, output: Path, train: str) -> None:
    lines = run(photos, output, train=train, augment="none")
    assert not any("frozen features are computed in every epoch" in line for line in lines)


@pytest.mark.parametrize("train", ["all", "gradual"])
def test_a_resumed_run_keeps_the_constants(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: str
) -> None:
    options = {**LEARNS, "train": train, "epochs": 3}
    run(photos, tmp_path / "whole", **options)
    Interrupts(monkeypatch, 2, 6, 9)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(photos, tmp_path / "torn", resume=True, **options)
    run(photos, tmp_path / "torn", resume=True, **options)
    assert describe(tmp_path / "torn") == describe(tmp_path / "whole")
    assert are_unchanged(tmp_path / "torn")


def test_a_forward_pass_that_changes_a_constant_fails_the_run(photos: Path, output: Path) -> None:
    def build(tag: str | None) -> nn.Module:
        model = build_masked(tag)

        def decay(module: Any, _inputs: object) -> None:
            with torch.no_grad():
                module.positions.mul_(0.9)

        model.register_forward_pre_hook(decay)
        return model

    with pytest.raises(FrozenMoved):
        run(photos, output, {"build": build})


def test_parameters_that_your_own_network_has_frozen_stay_frozen(photos: Path, output: Path) -> None:
    network, progress = build_masked(None), RecordingProgress()
    network.get_submodule("layer1").requires_grad_(requires_grad=False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    zoo.finetune(network, photos, output=output, progress=progress, **OWN)
    note = (
        "note: never trained, because of requires_grad=False: 1,240 parameters in 6 tensors (positions, layer1.mask, "
        "layer1.0.weight, ...); set it to True for those that should be trained"
    )
    assert note in progress.lines
    model = load_model(output)
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert all(torch.equal(model[name], before[name]) for name in frozen)
    assert not torch.equal(model["stem.weight"], before["stem.weight"])


def test_a_note_names_the_parameters_that_no_gradient_reached(photos: Path, output: Path) -> None:
    lines = run(photos, output, {"unused": ()})
    note = (
        "note: in the first step, no gradient reached 8 of the 850 parameters to be trained (1 tensor: token); "
        "without one, they do not change"
    )
    assert lines.count(note) == 1
    (found,) = read_facts(output)["no_gradient"]
    assert found == {"phase": 1, "tensors": 1, "params": 8, "learning": 850, "names": ["token"]}
    page, card = ((output / name).read_text(encoding="utf-8") for name in ("report.html", "README.md"))
    assert "In the first step, no gradient reached 8 of these parameters:\n<code>token</code>." in page
    assert "no gradient\nreached 8 of these parameters." in card


def test_a_run_in_which_every_parameter_has_a_gradient_says_nothing(photos: Path, output: Path) -> None:
    lines = run(photos, output)
    assert not any("no gradient" in line for line in lines)
    assert "no_gradient" not in read_facts(output)


@pytest.mark.parametrize(
    ("options", "phases"),
    [
        ({"accumulate": 2}, [1]),
        ({"train": "head-then-all", "epochs": 2}, [2]),
        ({"train": "gradual", "epochs": 3}, [3]),
        ({"train": "head"}, []),
        ({"train": "from:layer1"}, []),
    ],
    ids=str,
)
def test_each_phase_reports_its_own_parameters_once(
    photos: Path, output: Path, options: dict[str, Any], phases: list[int]
) -> None:
    lines = run(photos, output, {"unused": ()}, **options)
    assert sum("no gradient reached" in line for line in lines) == len(phases)
    assert [found["phase"] for found in read_facts(output).get("no_gradient", [])] == phases


def test_a_resumed_run_records_the_same_parameters(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**LEARNS, "train": "gradual", "epochs": 3}
    run(photos, tmp_path / "whole", {"unused": ()}, **options)
    Interrupts(monkeypatch, 10, 11)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(photos, tmp_path / "torn", {"unused": ()}, resume=True, **options)
    run(photos, tmp_path / "torn", {"unused": ()}, resume=True, **options)
    whole, torn = (read_facts(tmp_path / name)["no_gradient"] for name in ("whole", "torn"))
    assert torn == whole


def test_a_backbone_that_runs_without_gradients_is_reported_with_its_numbers(photos: Path, output: Path) -> None:
    def build(tag: str | None) -> nn.Module:
        model = build_masked(tag)
        layer: Any = model.get_submodule("layer1")
        run_layer = layer.forward
        layer.forward = lambda features: run_layer(features).detach()
        return model

    lines = run(photos, output, {"build": build})
    assert any(
        "no gradient reached 824 of the 842 parameters to be trained (6 tensors: stem." in line for line in lines
    )


def test_inspect_shows_constants_as_frozen() -> None:
    found = zoo.inspect("net", train="all", registry=make_masked_registry())
    assert (found.root.trainable, found.root.params) == (914, 1562)
    states = {info.path: info.state for info in found.root.walk()}
    assert states["layer1"] == "partly"
    assert states["layer1.0"] == "trainable"
