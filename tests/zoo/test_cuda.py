"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo.finetuning import Run, finetune
from zoo.registry import Registry

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture
def train(photos: Path, source: dict[str, Tensor], registry: Registry, tmp_path: Path) -> Any:
    save_file(source, tmp_path / "weights.safetensors")

    def run(name: str, **options: Any) -> Run:
        options = {"weights": str(tmp_path / "weights.safetensors"), "epochs": 2, "batch_size": 5, **options}
        return finetune("net", photos, output=tmp_path / name, registry=registry, **options)

    return run


def read_losses(run: Run) -> list[float]:
    import json

    lines = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    return [line[name] for line in lines for name in ("train_loss", "val_loss")]


@pytest.mark.parametrize(
    "options", [{"train": "head"}, {"train": "from:layer2", "augment": "none"}, {"train": "all", "augment": "none"}]
)
def test_a_gpu_gives_what_a_processor_gives(train: Any, options: dict[str, Any]) -> None:
    # Dropouts draw other numbers there, so what is compared is what the first step begins with and where it ends.
    ours = train("cuda", device="cuda", precision="fp32", lr=1e-6, **options)
    theirs = train("cpu", device="cpu", precision="fp32", lr=1e-6, **options)
    found, wanted = (read_losses(run)[1::2] for run in (ours, theirs))
    assert found == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_kept_features_and_images_give_the_same_there(train: Any, precision: str) -> None:
    options = {"device": "cuda", "precision": precision, "lr": 1e-6}
    cached, plain = train("cached", **options), train("plain", cache=False, **options)
    assert read_losses(cached)[1::2] == pytest.approx(read_losses(plain)[1::2], abs=1e-2)


def test_auto_is_bf16_where_the_gpu_computes_in_it(train: Any) -> None:
    wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    assert train("auto", device="auto").facts["hardware"]["precision"] == wanted
