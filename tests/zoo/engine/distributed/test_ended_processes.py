"""The errors of several processes when one of them ends early."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import zoo.engine.distributed.notices
import zoo.engine.distributed.process_group
from worlds import Ended, in_world
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import DataError, OptionError

#: Seconds to wait for a notice that is never left.
SHORT = 0.3


def run_world(size: int, end: Callable[[World], None]) -> list[Ended]:
    """Join several processes, call ``end`` in each, and then communicate."""

    def work(_rank: int) -> None:
        with join_world() as world:
            world.sum_numbers([1.0])
            end(world)
            world.sum_numbers([1.0])
            world.sum_(torch.ones(5))

    return in_world(size, work)


def first_line(ended: Ended) -> str:
    """Return the first line of the error of a process."""
    return ended.raised.partition("\n")[0]


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.breadth), 4])
def test_an_error_of_all_processes_is_reported_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 60.0)  # the first process does raise the error

    def end(_world: World) -> None:
        raise OptionError("no such thing")

    first, *others = map(first_line, run_world(size, end))
    assert first == "OptionError: no such thing"
    assert others == ["ReportedByPeer: no such thing"] * (size - 1)


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.breadth), 4])
@pytest.mark.parametrize(
    ("error", "own", "reason"),
    [
        (DataError("no photos"), "DataError: rank 1: no photos", "no photos"),
        (ValueError("a bug"), "ValueError: a bug", "ValueError a bug"),
        (KeyboardInterrupt(), "KeyboardInterrupt: ", "it was interrupted"),
    ],
    ids=["user", "bug", "interrupt"],
)
def test_the_first_process_reports_which_process_ended_and_why(
    size: int, error: BaseException, own: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        zoo.engine.distributed.process_group, "ECHO", SHORT
    )  # the first process never raises the same error
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", 1000.0)  # a waiting process leaves no notice

    def end(world: World) -> None:
        if world.rank == 1:
            raise error

    lines = [*map(first_line, run_world(size, end))]
    text = f"rank 1 ended: {reason}. The other processes cannot continue without it."
    assert lines[:2] == [f"PeerError: {text}", own]
    assert lines[2:] == [f"ReportedByPeer: {text}"] * (size - 2)


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.breadth), 4])
def test_an_error_of_the_first_process_is_not_repeated_by_the_others(size: int) -> None:
    def end(world: World) -> None:
        if world.is_first:
            raise KeyboardInterrupt

    first, *others = map(first_line, run_world(size, end))
    assert first == "KeyboardInterrupt: "
    assert all(other.startswith("ReportedByPeer: rank 0 ended: it was interrupted.") for other in others)


@pytest.mark.parametrize(
    ("size", "victim"),
    [(3, 1), *(pytest.param(*case, marks=pytest.mark.breadth) for case in ((2, 0), (2, 1), (6, 0), (6, 3)))],
)
def test_all_processes_report_a_killed_process_at_about_the_same_time(
    size: int, victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 2.0
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", patience)

    def end(world: World) -> None:
        if world.rank == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    ended = run_world(size, end)
    assert ended.pop(victim).code == -signal.SIGKILL
    died = f"rank {victim} died: it was killed, or its machine failed"
    text = f"{died}. The other processes cannot continue without it."
    # The first process reports it. If the first process itself died, all others report it.
    kinds = ["PeerError" if victim == 0 or not place else "ReportedByPeer" for place in range(size - 1)]
    assert [*map(first_line, ended)] == [f"{kind}: {text}" for kind in kinds]
    # No process waits for another waiting process, although each is connected only to its neighbors.
    seconds = [each.seconds for each in ended]
    assert max(seconds) - min(seconds) < patience


def test_an_error_of_this_process_s_gpu_is_not_reported_as_a_lost_process() -> None:
    world = replace(ALONE, size=2)
    with pytest.raises(RuntimeError, match=r"^CUDA error: an illegal memory access"), world.reporting_peer_errors():
        raise RuntimeError("CUDA error: an illegal memory access was encountered by NCCL")


def test_torchs_message_is_reported_if_no_process_is_missing() -> None:
    def end(world: World) -> None:
        raise world.notices.explain(RuntimeError("NCCL error: unhandled system error\nand more"))

    text = "the processes lost contact with each other: NCCL error: unhandled system error"
    assert [*map(first_line, run_world(2, end))] == [f"PeerError: {text}", f"ReportedByPeer: {text}"]
