"""Several processes that share batches compute the same result as one process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from small_steps import Normed, Plain, make_batch, make_learner, share, state_of
from worlds import get_results
from zoo.data.sampler import Sampler, seed_of_step
from zoo.engine.criterion import Criterion
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import ALONE, World
from zoo.engine.ema import MovingAverage
from zoo.engine.loop import EpochProgress, Score, Sums, train_one_epoch
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.mixup import build_mix
from zoo.engine.replica import Replica
from zoo.engine.state import list_trainable_state
from zoo.engine.step import learn

SIZES = [pytest.param(2, marks=pytest.mark.breadth), 3]


@dataclass(frozen=True)
class Case:
    """The settings of a training run of two epochs."""

    count: int = 11
    batch_size: int = 6
    optimizer: str = "adamw"
    balanced: bool = False
    smoothing: float = 0.0
    micro_batches: int = 1
    clip_norm: float | None = None
    ema: bool = False
    mixup: float = 0.0
    weighted: bool = False

    def train(self, model: nn.Module, world: World) -> tuple[dict[str, Tensor], list[Score]]:
        """Return the trained tensors, and the score of each epoch."""
        columns = make_batch(self.count)
        if self.weighted:
            columns = (*columns, 2.0 ** (torch.arange(self.count) % 4))
        learner = make_learner(
            model,
            world,
            optimizer=self.optimizer,
            criterion=Criterion(self.smoothing, 0.0, torch.tensor([0.5, 2.0, 3.0]) if self.balanced else None),
            micro_batches=MicroBatches(self.micro_batches, least=2 if isinstance(model, Normed) else 1),
            clip_norm=self.clip_norm,
            average=MovingAverage(list_trainable_state(model), 0.9) if self.ema else None,
            mix=build_mix(self.mixup, 0.0, 3),
        )
        sampler, scores = Sampler(self.batch_size, 3, rank=world.rank, ranks=world.size), []
        for epoch in range(2):
            local_batches = [list(sampler.local_part(batch)) for batch in sampler.plan(self.count, epoch)]
            batches = [tuple(column[indices] for column in columns) for indices in local_batches]
            current = EpochProgress(epoch, Sums(torch.device("cpu")))
            scores.append(train_one_epoch(learner, current, batches, lambda _count: None))
        return state_of(learner), scores


#: Every pair of option values occurs in one of these cases.
OPTIONS = [
    Case(optimizer="sgd"),
    Case(optimizer="sgd", balanced=True, micro_batches=2, ema=True),
    Case(optimizer="sgd", balanced=True, smoothing=0.1, clip_norm=0.1),
    Case(optimizer="sgd", smoothing=0.1, micro_batches=2, clip_norm=0.1, ema=True),
    Case(balanced=True, smoothing=0.1, micro_batches=2),
    Case(balanced=True, micro_batches=2, clip_norm=0.1),
    Case(balanced=True, clip_norm=0.1, ema=True),
    Case(smoothing=0.1, ema=True),
    Case(weighted=True, smoothing=0.1, clip_norm=0.1),
    Case(weighted=True, optimizer="sgd", balanced=True, micro_batches=2, ema=True),
    Case(weighted=True, count=13),
]
#: In some of these cases, the last batch is too small for all processes, or even for two.
COUNTS = [Case(count=count) for count in range(1, 18)]


def train_together(size: int, model: type[nn.Module], cases: list[Case]) -> list[Any]:
    """Return each process's result in each case; all cases run in the same processes."""

    def work(_rank: int) -> list[Any]:
        with join_world() as world:
            return [case.train(model(), world) for case in cases]

    return get_results(size, work)


def are_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether tensors are bit-identical."""
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("size", SIZES)
def test_several_processes_compute_the_result_of_one(size: int) -> None:
    cases = OPTIONS + COUNTS
    first, *others = train_together(size, Plain, cases)
    for case, (found, scores), *rest in zip(cases, first, *others, strict=True):
        expected, alone = case.train(Plain(), ALONE)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, msg=lambda text, case=case: f"{case}: {text}")
        assert [score.loss for score in scores] == pytest.approx([score.loss for score in alone], abs=1e-5), case
        assert [score.accuracy for score in scores] == [score.accuracy for score in alone], case
        assert all(are_same(found, other) and scores == other_scores for other, other_scores in rest), case


class Checkpointed(Plain):
    """A network whose body is computed again in the backward pass, which hides its parameters from torch."""

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1).requires_grad_()
        features: Tensor = checkpoint(self.body, pixels, use_reentrant=True)
        logits: Tensor = self.fc(features.tanh())
        return logits


def test_parameters_that_the_graph_of_the_loss_does_not_contain_are_averaged() -> None:
    cases = [Case(), Case(micro_batches=2, count=13)]
    first, second = train_together(2, Checkpointed, cases)
    for case, (found, _), (other, _) in zip(cases, first, second, strict=True):
        expected, _ = case.train(Checkpointed(), ALONE)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert are_same(found, other)


class CheckpointedNorm(Plain):
    """A network whose batch norm is computed again in the backward pass."""

    def __init__(self, *, is_reentrant: bool) -> None:
        super().__init__()
        self.norm, self.is_reentrant = nn.BatchNorm1d(12), is_reentrant

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1).requires_grad_()
        return super().forward(checkpoint(self.norm, pixels, use_reentrant=self.is_reentrant).reshape(images.shape))


@pytest.mark.parametrize("is_reentrant", [False, True])
def test_a_synchronized_norm_is_synchronized_again_in_a_checkpoint(*, is_reentrant: bool) -> None:
    def train(world: World) -> dict[str, Tensor]:
        changes: dict[str, Any] = {"syncs_norms": world.size > 1, "micro_batches": MicroBatches(1, is_fixed=True)}
        learner = make_learner(CheckpointedNorm(is_reentrant=is_reentrant), world, optimizer="sgd", **changes)
        for step in range(3):
            learn(learner, share(make_batch(10), world), step)
        return state_of(learner)

    def work(_rank: int) -> dict[str, Tensor]:
        with join_world() as world:
            return train(world)

    first, second = get_results(2, work)
    torch.testing.assert_close(first, train(ALONE), rtol=0, atol=1e-5)
    assert are_same(first, second)


@pytest.mark.parametrize("size", SIZES)
def test_all_processes_hold_identical_tensors_with_mixup_and_batch_norm(size: int) -> None:
    cases = [replace(case, mixup=0.4) for case in OPTIONS + COUNTS[1::3]]
    first, *others = train_together(size, Normed, cases)
    for case, (found, scores), *rest in zip(cases, first, *others, strict=True):
        assert {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"} < found.keys()
        assert all(are_same(found, other) and scores == other_scores for other, other_scores in rest), case


@pytest.mark.parametrize("size", SIZES)
def test_batch_norm_statistics_are_those_of_the_first_process(size: int) -> None:
    def work(_rank: int) -> dict[str, Tensor]:
        with join_world() as world:
            model = Normed()
            learn(make_learner(model, world), share(make_batch(11), world), seed_of_step(0, 0, 0, world.rank))
            return model.norm.state_dict()

    model, (images, _) = Normed(), share(make_batch(11), World(0, size))
    model.train()(images)
    for found in get_results(size, work):
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            assert torch.equal(found[name], model.norm.state_dict()[name])


def test_unused_parameters_do_not_decay_and_parameters_used_by_one_process_are_updated_in_all() -> None:
    def work(rank: int) -> dict[str, bool]:
        with join_world() as world:
            model, batch = Plain(), share(make_batch(7), world)
            assert (batch[0].mean((1, 2, 3)) > 1).any() == (rank == 1)  # the bright image
            learn(make_learner(model, world), batch, 0)
            return {
                name: torch.equal(getattr(model, name).weight, getattr(Plain(), name).weight)
                for name in ("spare", "bright")
            }

    assert get_results(2, work) == [{"spare": True, "bright": False}] * 2


def test_a_new_replica_rounds_the_sums_of_three_processes_like_one_that_has_taken_steps() -> None:
    def work(_rank: int) -> bool:
        with join_world() as world:
            found = []
            for is_resumed in (False, True):
                torch.manual_seed(0)
                layers = nn.Linear(12, 300), nn.Tanh(), nn.Linear(300, 900), nn.Tanh(), nn.Linear(900, 3)
                learner = make_learner(nn.Sequential(nn.Flatten(), *layers), world)
                for step in range(4):
                    learn(learner, share(make_batch(12), world), step)
                    if is_resumed:
                        learner.replica = Replica(learner.model, learner.criterion, world)
                found.append(state_of(learner))
            return are_same(*found)

    assert get_results(3, work) == [True] * 3
