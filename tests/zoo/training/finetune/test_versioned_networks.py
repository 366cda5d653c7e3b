"""A network whose state dict needs version numbers, which safetensors cannot store, can be trained to the end."""

from __future__ import annotations

from pathlib import Path

from quick_runs import QUICK
from zoo.training.finetune import finetune


def test_a_run_of_mnasnet_finishes_with_pictures_of_its_mistakes(photos: Path, tmp_path: Path) -> None:
    run = finetune("torchvision/mnasnet0_5", photos, output=tmp_path / "run", **{**QUICK, "image_size": 32})
    assert run.facts["val"]["accuracy"] < 1  # The test needs a mistake.
    assert "Most confident mistakes" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
