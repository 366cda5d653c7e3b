"""Runs whose trainable part is a list of terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from interrupted_runs import Interrupts, describe
from quick_runs import LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.errors import NameNotFound, OptionError
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune

TERMS = "head,layer2,*.1,!type:Conv2d"


def run(registry: Registry, photos: Path, output: Path, **options: Any) -> list[str]:
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **{**QUICK, **options})
    return progress.lines


def test_the_plan_shows_what_each_term_matches(registry: Registry, photos: Path, output: Path) -> None:
    lines = run(registry, photos, output, train=TERMS)
    plan = next(line for line in lines if line.startswith("training "))
    assert plan.startswith(
        "training head (26 parameters in 2 tensors), layer2 (1,200 parameters in 4 tensors), *.1 (64 parameters in 6 "
        "tensors), !type:Conv2d (1,976 parameters in 6 tensors): 90 of 2,270 parameters, "
    )


def test_run_json_has_the_terms_and_the_frozen_tensors_are_proved(
    registry: Registry, photos: Path, output: Path
) -> None:
    run(registry, photos, output, train=TERMS)
    facts = read_facts(output)
    assert [match["term"] for match in facts["terms"]] == TERMS.split(",")
    assert facts["recipe"]["train"] == TERMS
    assert facts["params"]["learning"] == 90
    assert facts["frozen"]["before"] == facts["frozen"]["after"]
    assert "partly trained" in (output / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("terms", ["head,norms", "head,layer1", "all,!norms"])
def test_a_run_with_terms_resumes_bit_for_bit(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, terms: str
) -> None:
    options = {**LEARNS, "train": terms, "epochs": 2}
    finetune("net", photos, output=tmp_path / "whole", registry=registry, **options)
    Interrupts(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=tmp_path / "torn", registry=registry, resume=True, **options)
    finetune("net", photos, output=tmp_path / "torn", registry=registry, resume=True, **options)
    assert describe(tmp_path / "torn") == describe(tmp_path / "whole")


def test_listed_blocks_train_as_from_does(registry: Registry, photos: Path, tmp_path: Path) -> None:
    for name, train in (("from", "from:layer2"), ("terms", "head,layer2,hidden")):
        run(registry, photos, tmp_path / name, train=train)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("from", "terms"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_frozen_head_is_a_warning_and_the_report_says_so(registry: Registry, photos: Path, output: Path) -> None:
    lines = run(registry, photos, output, train="norms")
    assert "warning: the new head is frozen and keeps its initial values; add head to `train`" in lines
    assert read_facts(output)["head_learns"] is False
    assert "head (linear)</strong><span>✱ frozen" in (output / "report.html").read_text(encoding="utf-8")
    lines = run(registry, photos, output.with_name("other"), train="head,norms")
    assert not any(line.startswith("warning: the new head") for line in lines)


def test_a_term_that_matches_nothing_ends_the_run_before_it_writes(
    registry: Registry, photos: Path, output: Path
) -> None:
    with pytest.raises(NameNotFound, match="`train`: nothing matches 'layer9'; the blocks are stem"):
        run(registry, photos, output, train="head,layer9")
    with pytest.raises(NameNotFound, match="no block 'layer9'"):
        run(registry, photos, output, train="from:layer9,!norms")
    assert not output.exists()


def test_terms_cannot_be_sharded(registry: Registry, photos: Path, output: Path) -> None:
    with pytest.raises(OptionError, match="`shard` needs a single phase of whole blocks"):
        run(registry, photos, output, train="head,norms", shard=True)
