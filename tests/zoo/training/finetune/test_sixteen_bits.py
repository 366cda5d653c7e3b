"""A run on 12-bit images in 16-bit files: as good as on the same images with 8 bits, also after it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quick_runs import QUICK
from recording_progress import RecordingProgress
from zoo.errors import OptionError
from zoo.models.weights.header import find_header
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.training.finetune import finetune
from zoo.training.resume import require_same_run


def write_scans(folder: Path, bits: int) -> Path:
    """Write noisy gray images of two brightnesses; the values use the upper ``bits`` of 12 bits."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for name, level in (("dark", 60), ("light", 160)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                values = draw.integers(level - 40, level + 90, (24, 24)).astype(np.uint16)
                image = Image.fromarray(values << (bits - 8) if bits > 8 else values.astype(np.uint8))
                image.save(folder / split / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("examined", ["100", "0"])
def test_a_run_on_twelve_bits_equals_one_on_eight(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examined: str
) -> None:
    monkeypatch.setenv("ZOO_MAX_EXAMINED_IMAGES", examined)
    progress = RecordingProgress()
    runs = {
        bits: finetune("net", write_scans(tmp_path / f"{bits}", bits), output=tmp_path / f"run{bits}",
                       registry=registry, progress=progress, **QUICK)
        for bits in (8, 12)
    }  # fmt: skip
    assert "note: the 16-bit images of train use 12 bits, so a value of 4,095 is white" in progress.lines
    assert [run.facts["input"]["bits"] for run in runs.values()] == [None, 12]
    assert runs[8].facts["val"] == runs[12].facts["val"]
    header = find_header(runs[12].path / "model.safetensors")
    assert header is not None
    assert header.input.bits == 12


def test_a_loaded_run_scales_images_as_in_training(registry: Registry, tmp_path: Path) -> None:
    data = write_scans(tmp_path / "data", 12)
    run = finetune("net", data, output=tmp_path / "run", registry=registry, **QUICK)
    loaded = load(run, registry=registry)
    assert loaded.evaluate(data, "val", registry=registry)["loss"] == pytest.approx(
        run.facts["best"]["val_loss"], rel=1e-4
    )
    progress = RecordingProgress()
    list(loaded.predict(data / "val", progress=progress))
    assert progress.lines == ["note: the 16-bit images of train use 12 bits, so a value of 4,095 is white"]
    same = write_scans(tmp_path / "same", 8)
    for split in ("val/dark/0.png", "val/light/3.png"):
        (deep,), (plain,) = (list(loaded.predict(folder / split)) for folder in (data, same))
        assert deep.top == plain.top


def test_a_run_is_not_resumed_with_other_bits() -> None:
    facts = json.loads(
        '{"backbone": "a", "weights": {"label": "b"}, "classes": [], "recipe": {}, "data": {"fingerprint": "c"},'
        ' "hardware": {"precision": "fp32"}, "phases": [{"frozen": null}], "input": {"bits": 12}}'
    )
    require_same_run(facts, facts, Path("run"))
    with pytest.raises(OptionError, match="was started with bits of 16-bit images 12, not None"):
        require_same_run(facts, {**facts, "input": {}}, Path("run"))
