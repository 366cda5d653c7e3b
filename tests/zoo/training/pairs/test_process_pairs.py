"""Several processes together with options that divide a batch further."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from small_steps import Normed, make_batch, make_learner, share
from worlds import get_results
from zoo.engine.distributed.process_group import join_world
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.step import learn

#: Number of steps.
STEPS = 3
#: Images of a batch of 10 that two processes run at the same time, if each of them divides its part into 2.
TOGETHER = ([0, 1, 2, 5, 6, 7], [3, 4, 8, 9])


def build() -> nn.Module:
    """Build a network with a batch norm but without dropout, whose masks would differ between the processes."""
    model = Normed()
    model.dropout = nn.Identity()
    return model


def train_in_two_processes() -> list[dict[str, Tensor]]:
    def work(_rank: int) -> dict[str, Tensor]:
        with join_world() as world:
            model, micro_batches = build(), MicroBatches(2, is_fixed=True)
            learner: Any = make_learner(model, world, optimizer="sgd", syncs_norms=True, micro_batches=micro_batches)
            for step in range(STEPS):
                learn(learner, share(make_batch(10), world), step)
            return dict(model.state_dict())

    return get_results(2, work)


def test_a_synchronized_batch_norm_normalizes_the_micro_batches_that_run_at_the_same_time() -> None:
    model, (images, labels) = build(), make_batch(10)
    groups = [{"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.0} for p in model.parameters()]
    optimizer = torch.optim.SGD(groups, lr=0.02, momentum=0.9)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for some in TOGETHER:
            (cross_entropy(model(images[some]), labels[some], reduction="sum") / len(labels)).backward()
        optimizer.step()
    for found in train_in_two_processes():
        torch.testing.assert_close(found, dict(model.state_dict()), rtol=1e-5, atol=1e-5)
