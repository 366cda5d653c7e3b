"""An exporter with a fault must fail, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.errors import ExportError
from zoo.plugin import InputSpec
from zoo.runs.export import axis, network, preprocessing
from zoo.runs.export.axis import Axis
from zoo.runs.export.export import export_run
from zoo.runs.export.network import Plan
from zoo.runs.export.preprocessing import Preprocessing

pytestmark = [pytest.mark.usefixtures("few_images"), pytest.mark.breadth]  # each case exports a network
Patch = pytest.MonkeyPatch


def change_input(monkeypatch: Patch, **changes: Any) -> None:
    """Export the preprocessing of another input."""
    monkeypatch.setattr(network, "Preprocessing", lambda spec: Preprocessing(replace(spec, **changes)))


def drop_antialiasing(monkeypatch: Patch) -> None:
    def weigh(along: Axis, side: int, _interpolation: str) -> tuple[Tensor, Tensor]:
        _, is_inside = axis.weigh(along, side, "bilinear")
        rows = (torch.arange(along.output) + axis.center(along.resized, along.output))[:, None]
        source = (rows + 0.5) * along.kept / along.resized - 0.5
        return (1 - (source - torch.arange(side)).abs()).clamp(min=0), is_inside

    monkeypatch.setattr(preprocessing, "weigh", weigh)


def swap_channels(monkeypatch: Patch) -> None:
    class Swapped(Preprocessing):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.flip(3))

    monkeypatch.setattr(network, "Preprocessing", Swapped)


def reverse_classes(monkeypatch: Patch) -> None:
    describe = Plan.describe

    def describe_reversed(plan: Plan) -> dict[str, Any]:
        description = dict(describe(plan))
        return {**description, "classes": description["classes"][::-1]}

    monkeypatch.setattr(Plan, "describe", describe_reversed)


def fix_batch(monkeypatch: Patch) -> None:
    def build(plan: Plan) -> torch.export.ExportedProgram:
        sizes = {0: torch.export.Dim.STATIC, 1: torch.export.Dim("height"), 2: torch.export.Dim("width")}
        with torch.no_grad():
            return torch.export.export(plan.network, (plan.example,), dynamic_shapes={"images": sizes})

    monkeypatch.setattr(Plan, "build_program", build)


FAULTS: dict[str, Callable[[Patch], None]] = {
    "bicubic instead of bilinear": lambda patch: change_input(patch, interpolation="bicubic"),
    "no antialiasing": drop_antialiasing,
    "BGR": swap_channels,
    "another order of the classes": reverse_classes,
    "a fixed size of the batch": fix_batch,
    "the mean and std of another model": lambda patch: change_input(patch, mean=InputSpec().mean, std=InputSpec().std),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_export_with_a_fault_fails_and_writes_nothing(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises(ExportError, match="Nothing was written"):
        export_run(tiny_run, "pt2", output=tmp_path / "exports" / "faulty")
    assert list((tmp_path / "exports").iterdir()) == []


@pytest.mark.parametrize("change", [{"mean": [0.1, 0.2, 0.3]}, {"interpolation": "nearest"}])
def test_an_export_that_describes_its_input_wrongly_fails(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    describe = Plan.describe
    monkeypatch.setattr(
        Plan, "describe", lambda plan: {**describe(plan), "input": {**describe(plan)["input"], **change}}
    )
    with pytest.raises(ExportError, match="does not give the probabilities of the run"):
        export_run(tiny_run, "pt2", output=tmp_path / "faulty", preprocess="outside")
    assert not (tmp_path / "faulty").exists()


def test_a_fixed_size_of_the_batch_also_fails_an_export_to_onnx(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    fix_batch(monkeypatch)
    with pytest.raises(ExportError, match="Nothing was written"):
        export_run(tiny_run, "onnx", output=tmp_path / "faulty")
    assert not (tmp_path / "faulty").exists()
