"""Learning rate schedules and options of the optimizer, in complete runs and when runs are resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from interrupted_runs import Interrupts, describe
from quick_runs import LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.errors import OptionError
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune
from zoo.training.lr_find import find_lr

#: The options of PyTorch's transfer learning tutorial, for fewer epochs.
TUTORIAL: dict[str, Any] = {**QUICK, "optimizer": "sgd", "lr": 0.001, "momentum": 0.9, "schedule": "step:2,0.1"}


def list_notes(progress: RecordingProgress) -> list[str]:
    return [line for line in progress.lines if "the learning rate never drops" in line]


def test_the_learning_rates_of_the_tutorial_are_those_of_torch(photos: Path, registry: Registry, output: Path) -> None:
    run = finetune("net", photos, output=output, registry=registry, **{**TUTORIAL, "epochs": 5})
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.001, momentum=0.9)
    scheduler, expected = StepLR(optimizer, step_size=2, gamma=0.1), []
    for _ in range(5):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    history = [json.loads(line) for line in (run.path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [epoch["lr"] for epoch in history] == pytest.approx(expected, rel=1e-9)


def test_a_step_schedule_that_never_drops_has_a_note(photos: Path, registry: Registry, output: Path) -> None:
    progress = RecordingProgress()
    run = finetune("net", photos, output=output, registry=registry, progress=progress, **QUICK, schedule="step")
    assert list_notes(progress) == [
        "note: the learning rate never drops: it would after 7 epochs, but the run has 1 epoch"
    ]
    assert run.facts["recipe"]["schedule"] == "step:7,0.1"


def test_a_step_schedule_that_drops_has_no_note(photos: Path, registry: Registry, output: Path) -> None:
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **{**TUTORIAL, "epochs": 3})
    assert list_notes(progress) == []


def test_each_phase_without_a_drop_has_a_note(photos: Path, registry: Registry, output: Path) -> None:
    progress, options = RecordingProgress(), {**TUTORIAL, "epochs": 6, "train": "head-then-all"}
    finetune("net", photos, output=output, registry=registry, progress=progress, **options)
    assert list_notes(progress) == [
        "note: the learning rate never drops: it would after 2 epochs, but the run has 2 epochs"
    ]


def test_a_learning_rate_range_test_has_no_note(photos: Path, registry: Registry) -> None:
    progress = RecordingProgress()
    find_lr("net", photos, registry=registry, progress=progress, **QUICK, schedule="step")
    assert list_notes(progress) == []


@pytest.mark.parametrize(
    "chosen",
    [
        {"optimizer": "sgd", "momentum": 0, "schedule": "step:2,0.5"},
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": True, "schedule": "step:1,0.5", "warmup": 0.5},
        {"optimizer": "adam", "betas": "0.5,0.9", "eps": 0.01, "schedule": "step:1"},
    ],
)
def test_a_run_resumes_with_options_of_the_optimizer(
    photos: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any]
) -> None:
    options = {**LEARNS, "lr": 0.005, **chosen}
    finetune("net", photos, output=tmp_path / "whole", registry=registry, **options)
    Interrupts(monkeypatch, 9)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=tmp_path / "torn", registry=registry, **options)
    finetune("net", photos, output=tmp_path / "torn", registry=registry, resume=True, **options)
    assert describe(tmp_path / "torn") == describe(tmp_path / "whole")


# Runs of earlier versions.


@pytest.fixture
def resume(photos: Path, registry: Registry, output: Path) -> Callable[..., None]:
    """Return a function that resumes a finished run after changing the options in its run.json."""

    def resume(recorded: dict[str, Any], **options: Any) -> None:
        finetune("net", photos, output=output, registry=registry, **{**TUTORIAL, "momentum": None})
        facts = read_facts(output)
        facts["recipe"].update(recorded)
        facts["recipe"] = {name: value for name, value in facts["recipe"].items() if value != "missing"}
        (output / "run.json").write_text(json.dumps(facts), encoding="utf-8")
        finetune("net", photos, output=output, registry=registry, resume=True, **{**TUTORIAL, **options})

    return resume


@pytest.mark.parametrize("schedule", ["step", "step:7", "cosine"])
def test_a_run_with_the_step_schedule_of_earlier_versions_is_not_resumed(
    resume: Callable[..., None], schedule: str
) -> None:
    with pytest.raises(OptionError, match="a version of zoo whose `schedule` step lowered the learning rate"):
        resume({"schedule": "step"}, schedule=schedule)


EARLIER = dict.fromkeys(("momentum", "nesterov", "betas", "eps"), "missing")


def test_an_option_that_an_earlier_version_did_not_have_must_have_its_default(resume: Callable[..., None]) -> None:
    resume(EARLIER, momentum=0.9)


@pytest.mark.parametrize(("option", "value", "default"), [("momentum", 0.5, 0.9), ("nesterov", True, False)])
def test_an_option_that_an_earlier_version_did_not_have_cannot_be_changed(
    resume: Callable[..., None], option: str, value: object, default: object
) -> None:
    with pytest.raises(OptionError, match=rf"was started with {option} {default}, not {value}; resume it with"):
        resume(EARLIER, **{option: value})
