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
#: Passes in which a process can run out of memory.
PLACES = ["forward", "backward"]


def take_steps(learner: Learner, world: World, count: int, steps: int = 2) -> None:
    for step in range(steps):
        learn(learner, share(make_batch(count), world), step)


def fail_once(learner: Learner, where: str, error: Exception) -> None:
    """Raise an out-of-memory error once, in the next step."""
    model, fail = learner.model, Once(error)
    assert isinstance(model, Plain)
    if where == "forward":
        model.fail = fail
    else:
        model.fc.weight.register_hook(fail)


def are_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("victim", "count"),
    [(0, ONE), (1, BOTH), *(pytest.param(*case, marks=pytest.mark.breadth) for case in ((0, BOTH), (1, ONE)))],
)
def test_if_one_process_is_out_of_memory_all_use_more_micro_batches(victim: int, count: int) -> None:
    # With one image, the second process runs neither pass.
    cases = [(where, error) for where in PLACES if count == BOTH or victim == 0 for error in ERRORS]

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
@pytest.mark.parametrize(
    "counts", [[BOTH, BOTH], [BOTH, BOTH, BOTH + 1], [BOTH, BOTH, ONE]], ids=["with slots", "more images", "few images"]
)
def test_a_later_step_is_tried_too_if_it_needs_another_amount_of_memory(victim: int, counts: list[int]) -> None:
    def work(rank: int) -> tuple[bool, int, int]:
        with join_world() as world:
            reference, learner = make_learner(Plain(), world), make_learner(Plain(), world)
            *earlier, last = counts
            for each in (reference, learner):
                for count in earlier:
                    take_steps(each, world, count, 1)
            reference.micro_batches.count = 2
            if rank == victim and (rank == 0 or last != ONE):
                fail_once(learner, "forward", ERRORS[0])
            elif victim and last == ONE:
                return True, 2, len(counts)  # the victim has no images
            for each in (reference, learner):
                take_steps(each, world, last, 1)
            return are_same(state_of(learner), state_of(reference)), learner.micro_batches.count, learner.steps

    assert get_results(SIZE, work) == [(True, 2, len(counts))] * SIZE


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


@pytest.mark.parametrize("where", ["forward", "backward", "buffers", "optimizer"])
@pytest.mark.parametrize("victim", range(SIZE))
def test_out_of_memory_that_the_others_cannot_know_about_ends_all_processes_with_their_state(
    where: str, victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 0.3)

    def work(rank: int) -> None:
        with join_world() as world:
            learner = make_learner(Plain(), world)
            take_steps(learner, world, BOTH)
            before = state_of(learner)
            if rank == victim and where == "buffers":
                monkeypatch.setattr(World, "broadcast_", Once(ERRORS[0]))
            elif rank == victim and where == "optimizer":
                learner.optimizer.register_step_pre_hook(Once(ERRORS[0]))
            elif rank == victim:
                fail_once(learner, where, ERRORS[0])
            try:
                take_steps(learner, world, BOTH)
            finally:
                # The other process does not need this one for the rest of its step.
                assert (rank != victim and where in {"buffers", "optimizer"}) or are_same(state_of(learner), before)

    ended = in_world(SIZE, work)
    other, own = ended[1 - victim].raised, ended[victim].raised
    text = "not enough memory for a step that the other processes have begun; continue the run with `resume`"
    assert own.startswith(f"NotEnoughMemory: {f'rank {victim}: ' if victim else ''}{text}"), own
    assert other.startswith(f"{'PeerError' if victim else 'ReportedByPeer'}: rank {victim} ended: {text}"), other


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
            take_steps(reference, world, BOTH, int(where != "backward"))
            take_steps(learner, world, BOTH, steps)
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
    # If a process dies in its optimizer step, the others complete theirs.
    assert (steps, is_unchanged) == (int(where == "step"), True)


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.breadth), 3])
def test_all_processes_of_a_step_report_a_killed_process_at_about_the_same_time(
    victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience, size = 4.0, 6
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", patience)

    def work(rank: int) -> None:
        with join_world() as world:
            learner = make_learner(Plain(), world)
            take_steps(learner, world, 2 * size)
            if rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            take_steps(learner, world, 2 * size)

    ended = in_world(size, work)
    assert ended.pop(victim).code == -signal.SIGKILL
    assert all(f"rank {victim} died" in each.raised for each in ended)
    # torch's DistributedDataParallel keeps the connections open, so no process would wait for only one other process.
    seconds = [each.seconds for each in ended]
    assert max(seconds) - min(seconds) < patience
