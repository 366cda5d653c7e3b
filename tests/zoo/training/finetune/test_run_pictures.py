"""The pictures of a report come from the network in the precision of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from quick_runs import QUICK
from zoo.registry.registry import Registry
from zoo.training import pictures
from zoo.training.finetune import finetune


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_pictures_are_drawn_in_the_precision_of_the_run(
    precision: str, registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, used = pictures.draw_pictures, list[bool]()

    def note(*arguments: Any) -> Any:
        used.append(torch.is_autocast_enabled("cpu"))
        return draw(*arguments)

    monkeypatch.setattr(pictures, "draw_pictures", note)
    finetune("net", photos, output=tmp_path / "run", registry=registry, **QUICK, precision=precision)
    assert used == [precision == "bf16"]
