"""Several processes: what each says when another one is gone."""

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

#: Seconds for which a word is waited for that never comes.
SHORT = 0.3


def let_end(size: int, end: Callable[[World], None]) -> list[Ended]:
    """Join, let some end, and let the others go on to count on them."""

    def work(_rank: int) -> None:
        with join_world() as world:
            world.total([1.0])
            end(world)
            world.total([1.0])
            world.sum_([torch.ones(5)])

    return in_world(size, work)


def say(ended: Ended) -> str:
    """Return what a process raised, in a line."""
    return ended.raised.partition("\n")[0]


@pytest.mark.parametrize("size", [2, 4])
def test_an_error_that_all_have_is_said_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 60.0)  # it comes

    def end(_world: World) -> None:
        raise OptionError("no such thing")

    first, *others = map(say, let_end(size, end))
    assert first == "OptionError: no such thing"
    assert others == ["SaidElsewhere: no such thing"] * (size - 1)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(
    ("error", "own", "word"),
    [
        (DataError("no photos"), "DataError: rank 1: no photos", "no photos"),
        (ValueError("a bug"), "ValueError: a bug", "ValueError a bug"),
        (KeyboardInterrupt(), "KeyboardInterrupt: ", "it was interrupted"),
    ],
    ids=["user", "bug", "interrupt"],
)
def test_who_ends_early_is_named_by_the_first_with_its_reason(
    size: int, error: BaseException, own: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", SHORT)  # the first never comes to the same error
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", 1000.0)  # who waits for others has no word to leave

    def end(world: World) -> None:
        if world.rank == 1:
            raise error

    said = [*map(say, let_end(size, end))]
    reason = f"rank 1 ended: {word}. The others cannot go on without it."
    assert said[:2] == [f"LostProcess: {reason}", own]
    assert said[2:] == [f"SaidElsewhere: {reason}"] * (size - 2)


@pytest.mark.parametrize("size", [2, 4])
def test_what_the_first_says_the_others_do_not_repeat(size: int) -> None:
    def end(world: World) -> None:
        if world.is_first:
            raise KeyboardInterrupt

    first, *others = map(say, let_end(size, end))
    assert first == "KeyboardInterrupt: "
    assert all(other.startswith("SaidElsewhere: rank 0 ended: it was interrupted.") for other in others)


@pytest.mark.parametrize(("size", "victim"), [(2, 0), (2, 1), (3, 1), (6, 0), (6, 3)])
def test_who_is_killed_is_named_by_all_at_the_same_time(
    size: int, victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 2.0
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", patience)

    def end(world: World) -> None:
        if world.rank == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    ended = let_end(size, end)
    assert ended.pop(victim).code == -signal.SIGKILL
    text = f"rank {victim} is gone: it was killed, or its machine is lost. The others cannot go on without it."
    # Who is first there says it; where that is the lost one, each of them does.
    kinds = ["LostProcess" if victim == 0 or not place else "SaidElsewhere" for place in range(size - 1)]
    assert [*map(say, ended)] == [f"{kind}: {text}" for kind in kinds]
    # Nobody waits for one that waits itself: each is connected to its neighbours alone.
    seconds = [each.seconds for each in ended]
    assert max(seconds) - min(seconds) < patience


def test_an_error_of_ones_own_gpu_is_no_loss_of_another() -> None:
    world = replace(ALONE, size=2)
    with pytest.raises(RuntimeError, match=r"^CUDA error: an illegal memory access"), world._talking():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_where_nobody_is_missing_torchs_own_words_are_told() -> None:
    def end(world: World) -> None:
        raise world.notices.explain(RuntimeError("NCCL error: unhandled system error\nand more"))

    text = "the processes have lost each other: NCCL error: unhandled system error"
    assert [*map(say, let_end(2, end))] == [f"LostProcess: {text}", f"SaidElsewhere: {text}"]
