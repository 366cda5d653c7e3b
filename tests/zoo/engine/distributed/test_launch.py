"""When ``zoo`` starts processes, and how many it can start."""

from __future__ import annotations

import pytest
import torch

from zoo.engine.distributed.launch import needs_launch
from zoo.errors import OptionError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the environment variables of torchrun."""
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_only_several_processes_are_launched() -> None:
    assert [needs_launch(count, "cpu") for count in (1, 2, 7)] == [False, True, True]


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_process_is_an_error(count: int) -> None:
    with pytest.raises(OptionError, match=rf"`devices` must be at least 1, got {count}\."):
        needs_launch(count, "cpu")


def test_processes_that_torchrun_started_are_not_launched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not needs_launch(2, "cpu")
    with pytest.raises(OptionError, match=r"`devices` is 4, but torchrun started 2 processes on this machine; omit"):
        needs_launch(4, "cpu")


def test_a_single_process_that_torchrun_started_is_not_launched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(OptionError, match=r"`devices` is 2, but torchrun started 1 process on this machine; omit"):
        needs_launch(2, "cpu")


def test_more_processes_than_gpus_are_an_error_with_device_cuda() -> None:
    count = torch.cuda.device_count() + 2
    with pytest.raises(OptionError, match=rf"`devices` is {count}, but the number of available GPUs is {count - 2}\."):
        needs_launch(count, "cuda")
