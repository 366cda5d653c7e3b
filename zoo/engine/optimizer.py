"""Optimizers by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from zoo.models.sharding import is_divided

MOMENTUM = 0.9


def build_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float,
    scale: Callable[[nn.Parameter], float] = lambda _parameter: 1.0,
) -> Optimizer:
    """Build an optimizer; biases and the scales of norms do not decay, since they do not overfit.

    Each group notes its ``initial_lr``, of which a `zoo.engine.schedule.Schedule` takes a share.

    Args:
        name: ``adamw``, ``adam`` or ``sgd``.
        parameters: of which those learn that want gradients.
        lr: the highest rate.
        weight_decay: of weights.
        scale: tells by how much the rate of a parameter is lower.
    """
    members: defaultdict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.requires_grad:
            members[scale(parameter), weight_decay if parameter.ndim > 1 else 0.0].append(parameter)
    # The first group has the highest rate, which is the one that is told.
    groups = [
        {"params": members[key], "weight_decay": key[1], "initial_lr": lr * key[0]}
        for key in sorted(members, reverse=True)
    ]
    # fused: one pass over memory a step, which on large heads is most of the step's time.
    if name == "sgd":
        learning = [parameter for parameters in members.values() for parameter in parameters]
        # torch has no such kernel for divided ones. And where the first step in fp16 overflows, as on GPUs it does, the
        # kernel leaves a momentum that was never written.
        fused = all(parameter.device.type == "cpu" and not is_divided(parameter) for parameter in learning)
        return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, fused=fused)
    kind: type[torch.optim.Adam] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(groups, lr=lr, fused=True)
