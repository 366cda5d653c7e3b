"""Errors in one of several processes: the error of each process, and the files of the run."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo.engine.distributed.notices
import zoo.engine.distributed.process_group
from made_registries import registry_of
from worlds import in_world
from zoo.plugin import BackboneSpec, BlockSpec

Train = Callable[..., Any]


#: End of the message of every PeerError.
LEFT = "The other processes cannot continue without it."


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits for messages that never come."""
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", 0.3)
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 0.3)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengthen the wait for the error of the first process, which does come."""
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 60.0)


def list_errors(size: int, work: Callable[[int], object]) -> list[str]:
    """Return the error of each process, in one line."""
    return [ended.raised.partition("\n")[0] for ended in in_world(size, work)]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"train": "from:layer9"}, "NameNotFound: no block 'layer9'"),
        ({"data": "no-such-data"}, "NameNotFound: no data set 'no-such-data'"),
        ({"lr": -1.0}, "OptionError: lr must be a number between 0 and 100, got -1.0"),
        ({"batch_size": 3}, "OptionError: 2 processes cannot share batches of 3 images"),
        ({"epochs": 20, "optimizer": "sgd", "lr": 100.0, "schedule": "constant"}, "TrainingError: "),
    ],
)
def test_an_error_in_all_processes_is_reported_by_the_first(
    train: Train, output: Path, options: dict[str, Any], text: str
) -> None:
    first, other = list_errors(2, lambda _rank: train(output, **options))
    assert first.startswith(text)
    assert other == f"ReportedByPeer: {first.partition(': ')[2]}"


def test_a_used_output_is_an_error_in_the_first_process(train: Train, output: Path) -> None:
    output.mkdir()
    (output / "model.safetensors").touch()
    first, other = list_errors(2, lambda _rank: train(output))
    assert first.startswith("RunError: ")
    assert other.startswith("ReportedByPeer: rank 0 ended: ")
    assert [path.name for path in output.iterdir()] == ["model.safetensors"]


@pytest.mark.usefixtures("patient")
def test_the_error_for_different_images_names_the_rank(train: Train, output: Path, photos: Path) -> None:
    copy = shutil.copytree(photos, photos.with_name("copy"))
    (copy / "train" / "red" / "3.png").unlink()
    first, _, other = list_errors(3, lambda rank: train(output, data=copy if rank == 1 else photos))
    assert first == "OptionError: rank 1 does not have the same images as rank 0; all processes need the same images."
    assert other == first.replace("OptionError", "ReportedByPeer")
    assert not output.exists()


@pytest.mark.usefixtures("hasty")
def test_an_error_in_one_process_is_reported_by_it_and_the_first(train: Train, output: Path, photos: Path) -> None:
    first, own = list_errors(2, lambda rank: train(output, data=photos / "nowhere" if rank else photos))
    assert own.startswith("DataError: rank 1: ")
    assert first == f"PeerError: rank 1 ended: {own.removeprefix('DataError: rank 1: ').removesuffix('.')}. {LEFT}"
    assert not output.exists()


class Failing(nn.Module):
    """A network that calls a function with the number of training passes so far."""

    def __init__(self, fail: Callable[[int], None]) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.body.register_buffer("seen", torch.zeros(()))
        self.fc = nn.Linear(4, 10)
        self.passes, self._fail = 0, fail

    def forward(self, images: Tensor) -> Tensor:
        self.passes += self.training
        self._fail(self.passes)
        logits: Tensor = self.fc(self.body(images.mean((2, 3))))
        return logits


def registry_with(acme: BackboneSpec, build: Callable[[], nn.Module]) -> Any:
    return registry_of(
        replace(
            acme,
            build=lambda _tag: build(),
            head=("fc",),
            classifier=None,
            params=66,
            blocks=(BlockSpec("body", ("body",)),),
        )
    )


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("how", ["error", "kill"])
def test_the_error_for_a_process_that_ends_names_its_rank(
    train: Train, acme: BackboneSpec, output: Path, victim: int, how: str
) -> None:
    def work(rank: int) -> None:
        def fail(passes: int) -> None:
            if rank == victim and passes == 6:
                if how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise ValueError("no more")

        train(output, registry_with(acme, lambda: Failing(fail)))

    errors = list_errors(2, work)
    if how == "error":
        reason = "ended: ValueError no more"
        assert errors[victim] == "ValueError: no more"
        assert errors[1 - victim] == f"{'PeerError' if victim else 'ReportedByPeer'}: rank {victim} {reason}. {LEFT}"
    else:
        assert errors[victim] == ""
        assert errors[1 - victim].startswith(f"PeerError: rank {victim} died: it was killed")
    names = {path.name for path in output.iterdir()}
    assert "run.json" not in names
    assert ("checkpoints" in names and any((output / "checkpoints").glob("*.safetensors"))) == (victim == 1)


@pytest.mark.usefixtures("hasty")
def test_a_frozen_tensor_that_changes_in_one_process_ends_all_and_leaves_no_model(
    train: Train, acme: BackboneSpec, output: Path
) -> None:
    def work(rank: int) -> None:
        class Changing(Failing):
            def forward(self, images: Tensor) -> Tensor:
                self.body.seen += rank
                return super().forward(images)

        train(output, registry_with(acme, lambda: Changing(lambda _passes: None)), train="head", cache=False)

    first, other = list_errors(2, work)
    assert first.startswith("FrozenMoved: rank 1: a frozen parameter or buffer changed")
    assert other == first
    assert [path.name for path in output.iterdir()] == ["history.jsonl"]
