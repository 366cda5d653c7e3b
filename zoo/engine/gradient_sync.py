"""Gradients and results of a step, summed over the processes of a run.

The gradients are summed after the backward pass, not during it as in torch's DistributedDataParallel. That way, if one
process runs out of memory, all of them can retry before any of them waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.engine.distributed.world import World
from zoo.engine.learner import Learner, StepResult
from zoo.models.sharding import is_sharded


def sync_gradients(learner: Learner, local: StepResult) -> StepResult:
    """Sum the gradients over all processes, and copy the first process's batch norm statistics to the others.

    Args:
        learner: Learner whose gradients are summed in place.
        local: Result of this process.

    Returns:
        The result of the global batch.

    Raises:
        PeerError: If another process has died.
    """
    world = learner.hardware.world
    if world.size == 1:
        return local
    parameters = [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]
    gradients = [] if is_sharded(learner.model) else _list_gradients(parameters, world)
    loss, correct = local.loss.clone(), local.correct.clone()
    world.all_reduce_([*gradients, loss, correct])
    modules = (module for module in learner.model.modules() if module.training)
    world.broadcast_([buffer for module in modules for buffer in module.buffers(recurse=False)])
    return StepResult(loss, correct, local.count)


def _list_gradients(parameters: Sequence[nn.Parameter], world: World) -> list[Tensor]:
    """List the gradients of the parameters that any process has used.

    All other gradients stay None: with a gradient of zero, the optimizer would apply weight decay to them.
    """
    users = world.sum_numbers([float(parameter.grad is not None) for parameter in parameters])
    for parameter, count in zip(parameters, users, strict=True):
        if count and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
