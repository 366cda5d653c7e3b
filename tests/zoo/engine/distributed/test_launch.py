"""Whether ``zoo`` has to start processes, and how many there can be."""

from __future__ import annotations

import pytest
import torch

from zoo.engine.distributed.launch import needs_launch
from zoo.errors import OptionError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be started by nobody."""
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_one_process_needs_no_launch_and_several_do() -> None:
    assert [needs_launch(count, "cpu") for count in (1, 2, 7)] == [False, True, True]


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_is_refused(count: int) -> None:
    with pytest.raises(OptionError, match=rf"{count} devices; it takes at least one\."):
        needs_launch(count, "cpu")


def test_what_torchrun_started_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not needs_launch(2, "cpu")
    with pytest.raises(OptionError, match=r"4 devices, but torchrun started 2 processes here; leave `devices` out\."):
        needs_launch(4, "cpu")


def test_more_than_there_are_gpus_is_refused_where_gpus_are_wanted() -> None:
    count = torch.cuda.device_count() + 2
    with pytest.raises(OptionError, match=rf"{count} devices, but torch finds {count - 2} GPUs? here\."):
        needs_launch(count, "cuda")
