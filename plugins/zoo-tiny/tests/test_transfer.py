"""Pretraining on other shapes helps to classify suns and moons."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo

#: Lowest accepted accuracy after fine-tuning, and highest accepted accuracy after training from scratch. README.md has
#: the measured values, which may differ slightly between machines.
FINETUNED, SCRATCH = 0.9, 0.75


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.breadth)])
def test_a_new_head_on_pretrained_features_beats_training_from_scratch(tmp_path: Path, seed: int) -> None:
    options = {"data": "suns_moons", "seed": seed, "device": "cpu", "workers": 0}
    finetuned = zoo.finetune("tiny", output=tmp_path / "finetuned", **options)
    scratch = zoo.finetune("tiny", output=tmp_path / "scratch", weights="none", train="all", **options)
    assert finetuned.facts["best"]["val_accuracy"] >= FINETUNED
    assert scratch.facts["best"]["val_accuracy"] <= SCRATCH
    assert finetuned.facts["frozen"]["before"] == finetuned.facts["frozen"]["after"]
