"""Runs that fail or are interrupted, and the files they leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from made_registries import registry_of
from quick_runs import LEARNS, QUICK
from zoo.errors import FrozenMoved, RunError, TrainingError
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


class Sneaky(nn.Module):
    """A network that counts its forward passes in a buffer, even if it is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.body.register_buffer("seen", torch.zeros(()))
        self.fc = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        self.body.seen += 1
        logits: Tensor = self.fc(self.body(images).mean((2, 3)))
        return logits


def test_a_network_that_changes_its_frozen_buffer_is_an_error_and_leaves_no_model(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    spec = replace(
        acme, build=lambda _tag: Sneaky(), head=("fc",), classifier=None, blocks=(BlockSpec("body", ("body",)),)
    )
    with pytest.raises(FrozenMoved, match="frozen parameter or buffer changed"):
        finetune("net", photos, output=output, registry=registry_of(spec), **{**QUICK, "train": "head"})
    assert [path.name for path in output.iterdir()] == ["history.jsonl"]


def test_a_non_finite_loss_ends_the_run_without_run_json(registry: Registry, photos: Path, output: Path) -> None:
    options = {**LEARNS, "lr": 100.0, "optimizer": "sgd", "schedule": "constant", "epochs": 60}
    with pytest.raises(TrainingError, match="try a lower `lr`"):
        finetune("net", photos, output=output, registry=registry, **options)
    assert not (output / "run.json").exists()


@pytest.mark.parametrize("after", [1, 2])
def test_ctrl_c_leaves_the_best_model_and_a_checkpoint_but_no_run_json(
    acme: BackboneSpec, photos: Path, output: Path, after: int
) -> None:
    def zoo_epoch_ended(epoch: Mapping[str, Any]) -> None:
        if epoch["epoch"] == after:
            raise KeyboardInterrupt

    registry = registry_of(acme, zoo_epoch_ended=zoo_epoch_ended)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=output, registry=registry, **LEARNS)
    left = {path.name for path in output.iterdir()}
    assert left == {"history.jsonl", "model.safetensors", "checkpoints"}


def test_the_output_of_a_run_interrupted_before_its_first_epoch_is_refused(
    acme: BackboneSpec, registry: Registry, photos: Path, output: Path
) -> None:
    def zoo_run_started() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=output, registry=registry_of(acme, zoo_run_started=zoo_run_started), **QUICK)
    assert {path.name for path in output.iterdir()} == {"history.jsonl", "checkpoints"}
    with pytest.raises(RunError, match=r"run contains other files; choose another `output`, or remove it first\."):
        finetune("net", photos, output=output, registry=registry, **QUICK)


def test_out_of_memory_is_a_training_error(photos: Path, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not enough memory"):
        finetune(
            "acme/net", photos, weights="none", head="mlp:9999999,9999999", registry=registry, output=tmp_path / "run"
        )
