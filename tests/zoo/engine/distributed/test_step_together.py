"""A step of several processes when one of them runs out of memory, has non-finite numbers, or dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo.engine.distributed.notices
import zoo.engine.distributed.process_group
from out_of_memory import SAYINGS, Once
from recording_progress import RecordingProgress
from small_steps import Normed, Plain, do_nothing, make_batch, make_learner, share, state_of
from worlds import get_results, in_world
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import World
from zoo.engine.learner import Learner
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.step import NotFinite, learn
from zoo.errors import PeerError

SIZE = 2
#: Number of images that is enough for both processes, and one that is enough only for the first.
BOTH, ONE = 7, 3
ERRORS = [*SAYINGS, MemoryError()]
#: Places where a step can fail, and whether a process without images also reaches them.
PLACES = {"forward": False, "backward": False, "step": True, "slots": True}


def take_steps(learner: Learner, world: World, count: int, steps: int = 2) -> None:
    for step in range(steps):
        learn(learner, share(make_batch(count), world), step)


def fail_once(learner: Learner, where: str, error: Exception) -> None:
    """Raise an out-of-memory error once, in the next step."""
    model, fail, optimizer = learner.model, Once(error), learner.optimizer
    assert isinstance(model, Plain)

    def fail_midway(*_: object) -> None:
        try:
            fail()
        except Exception:
            optimizer.state[model.fc.weight]["step"] = torch.zeros(())  # the only part of Adam's state so far
            raise

    if where == "forward":
        model.fail = fail
    elif where == "backward":
        model.fc.weight.register_hook(fail)
    else:
        optimizer.register_step_pre_hook(fail if where == "step" else fail_midway)


def are_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("victim", "count"),
    [(0, ONE), (1, BOTH), *(pytest.param(*case, marks=pytest.mark.breadth) for case in ((0, BOTH), (1, ONE)))],
)
def test_if_one_process_is_out_of_memory_all_use_more_micro_batches(victim: int, count: int) -> None:
    places = [where for where, is_anywhere in PLACES.items() if is_anywhere or count == BOTH or victim == 0]
    cases = [(where, error) for where in places for error in ERRORS]

    def work(rank: int) -> list[Any]:
        with join_world() as world:
            reference = make_learner(Plain(), world, micro_batches=MicroBatches(2))
            take_steps(reference, world, count)
            found = []
            for where, error in cases:
                progress = RecordingProgress()
                learner = make_learner(Plain(), world, progress)
                if rank == victim:
                    fail_once(learner, where, error)
                take_steps(learner, world, count)
                found.append(
                    (are_same(state_of(learner), state_of(reference)), learner.micro_batches.count, progress.lines)
                )
            return found

    for results in get_results(SIZE, work):
        for case, (is_same, parts, lines) in zip(cases, results, strict=True):
            assert is_same, case
            assert parts == 2, case
            (line,) = lines
            assert line.startswith("note: out of memory; splitting each batch into 2 micro-batches from now on")


@pytest.mark.parametrize("victim", range(SIZE))
def test_a_process_may_run_out_of_memory_in_a_later_step(victim: int) -> None:
    def work(rank: int) -> tuple[bool, int, int]:
        with join_world() as world:
            reference, learner = make_learner(Plain(), world), make_learner(Plain(), world)
            take_steps(reference, world, BOTH, 1)
            take_steps(learner, world, BOTH, 1)
            reference.micro_batches.count = 2
            if rank == victim:
                fail_once(learner, "forward", ERRORS[0])
            take_steps(reference, world, BOTH)
            take_steps(learner, world, BOTH)
            return are_same(state_of(learner), state_of(reference)), learner.micro_batches.count, learner.steps

    assert get_results(SIZE, work) == [(True, 2, 3)] * SIZE


@pytest.mark.parametrize("victim", range(SIZE))
def test_batch_norm_statistics_are_restored_if_another_process_failed(victim: int) -> None:
    def work(rank: int) -> int:
        with join_world() as world:
            model = Normed()
            learner = make_learner(model, world, micro_batches=MicroBatches(1, least=2))
            if rank == victim:
                fail_once(learner, "backward", ERRORS[0])
            learn(learner, share(make_batch(9), world), 0)
            return int(model.norm.num_batches_tracked)

    assert get_results(SIZE, work) == [2] * SIZE  # one per micro-batch


def test_if_one_process_has_no_memory_for_one_image_all_end() -> None:
    def work(rank: int) -> None:
        with join_world() as world:
            model = Plain()
            if rank == 1:
                model.fail = lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory"))
            learn(make_learner(model, world), share(make_batch(8), world), 0)

    first, other = (ended.raised.partition("\n")[0] for ended in in_world(SIZE, work))
    assert first.startswith("TrainingError: not enough memory for one image at a time")
    assert "not enough memory for one image at a time" in other


@pytest.mark.parametrize("where", ["exchange", "later step"])
def test_out_of_memory_that_the_others_cannot_know_about_ends_all_processes(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 0.3)

    def work(rank: int) -> None:
        with join_world() as world:
            learner = make_learner(Plain(), world)
            take_steps(learner, world, BOTH)
            if rank == 1 and where == "exchange":
                monkeypatch.setattr(World, "all_reduce_", Once(ERRORS[0]))
            elif rank == 1:
                learner.optimizer.register_step_pre_hook(Once(ERRORS[0]))
            take_steps(learner, world, BOTH)

    first, other = (ended.raised.partition("\n")[0] for ended in in_world(SIZE, work))
    assert first.startswith("PeerError: rank 1 ended: not enough memory for the communication between processes")
    assert other.startswith("TrainingError: rank 1: not enough memory")


def spoil_image(_model: Plain, batch: tuple[Tensor, Tensor], value: float) -> None:
    batch[0][0, 0, 0, 0] = value


def spoil_loss(model: Plain, _batch: tuple[Tensor, Tensor], value: float) -> None:
    model.fc.register_forward_hook(lambda _module, _inputs, logits: logits * value)


def spoil_gradient(model: Plain, _batch: tuple[Tensor, Tensor], value: float) -> None:
    model.body.weight.register_hook(lambda gradient: gradient * value)


@pytest.mark.parametrize("victim", range(SIZE))
def test_a_non_finite_number_in_one_process_stops_all_before_anything_changes(victim: int) -> None:
    spoils: list[Callable[[Plain, tuple[Tensor, Tensor], float], None]] = [spoil_image, spoil_loss, spoil_gradient]
    cases = [(spoil, value) for spoil in spoils for value in (float("nan"), float("inf"), -float("inf"))]

    def work(rank: int) -> list[Any]:
        with join_world() as world:
            found = []
            for spoil, value in cases:
                model, batch = Normed(), share(make_batch(9), world)
                if rank == victim:
                    spoil(model, batch, value)
                learner = make_learner(model, world)
                with pytest.raises(NotFinite) as caught:
                    learn(learner, batch, 0)
                is_same = are_same(model.state_dict(), Normed().state_dict())
                found.append((is_same, learner.steps, len(learner.optimizer.state), str(caught.value)))
            return found

    first, other = get_results(SIZE, work)
    for case, result, other_result in zip(cases, first, other, strict=True):
        assert result == other_result, case  # including the message, so that it is reported only once
        assert result[:3] == (True, 0, 0), case


@pytest.mark.parametrize("victim", range(SIZE))
def test_an_fp16_step_that_overflows_in_one_process_is_skipped_by_all(victim: int) -> None:
    def work(rank: int) -> Any:
        with join_world() as world:
            model = Plain()
            learner = make_learner(model, world, scaler=torch.amp.GradScaler("cpu", init_scale=4.0))
            overflow = Once(OverflowError())

            def spoil(gradient: Tensor) -> Tensor:
                try:
                    overflow()
                except OverflowError:
                    return gradient * float("inf")
                return gradient

            if rank == victim:
                model.body.weight.register_hook(spoil)
            learn(learner, share(make_batch(BOTH), world), 0)
            is_same, scale = are_same(model.state_dict(), Plain().state_dict()), learner.scaler.get_scale()
            learn(learner, share(make_batch(BOTH), world), 1)
            return is_same, scale, learner.steps, state_of(learner)

    (*first, state), (*other, other_state) = get_results(SIZE, work)
    assert first == other == [True, 2.0, 1]
    assert are_same(state, other_state)


@pytest.mark.parametrize("where", ["backward", "step", "next forward"])
def test_the_others_keep_the_last_complete_step_if_a_process_dies(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", 0.3)

    def end(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work(rank: int) -> tuple[str, int, bool]:
        with join_world() as world:
            model, reference = Normed(), make_learner(Normed(), world)
            learner, steps = make_learner(model, world), int(where == "next forward")
            for each in (reference, learner):
                take_steps(each, world, BOTH, steps)
            if rank == 1:
                model.fail = end if steps else do_nothing
                if where == "backward":
                    model.fc.weight.register_hook(end)
                elif where == "step":
                    learner.optimizer.register_step_pre_hook(end)
            with pytest.raises(PeerError) as caught:
                take_steps(learner, world, BOTH)
            return str(caught.value), learner.steps - steps, are_same(state_of(learner), state_of(reference))

    survivor, killed = in_world(SIZE, work)
    assert killed.code == -signal.SIGKILL
    text, steps, is_unchanged = survivor.result
    assert text.startswith("rank 1 died")
    assert (steps, is_unchanged) == (0, True)
