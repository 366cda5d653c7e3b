"""What several processes learned from their shares of a batch becomes what one would have learned from all of it.

The gradients are summed after the backward pass and not within it, as torch's DistributedDataParallel does, so that
memory that is short in one process can be made good in all of them before any of them waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.engine.distributed.world import World
from zoo.engine.learner import Learner, StepResult
from zoo.models.sharding import is_sharded


def sync_gradients(learner: Learner, mine: StepResult) -> StepResult:
    """Give all processes the gradients of the whole batch, and the statistics of the first; return what all saw.

    Args:
        learner: whose gradients they are.
        mine: what this process saw.

    Raises:
        LostProcess: another process is gone.
    """
    world = learner.hardware.world
    if world.size == 1:
        return mine
    parameters = [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]
    gradients = [] if is_sharded(learner.model) else _list_gradients(parameters, world)
    loss, correct = mine.loss.clone(), mine.correct.clone()
    world.sum_([*gradients, loss, correct])
    world.spread_(learner.list_statistics())
    return StepResult(loss, correct, mine.count)


def _list_gradients(parameters: Sequence[nn.Parameter], world: World) -> list[Tensor]:
    """List the gradients of what any process has used: what none has would decay with one of zeros."""
    owners = world.total([float(parameter.grad is not None) for parameter in parameters])
    return [_get_gradient(parameter) for parameter, owner in zip(parameters, owners, strict=True) if owner]


def _get_gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:  # this process had no image
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
