"""The optimizer of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from zoo.models.sharding import is_sharded_tensor
from zoo.registry.optimizer_design import OptimizerDesign


def build_optimizer(
    design: OptimizerDesign,
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float,
    scale: Callable[[nn.Parameter], float] = lambda _parameter: 1.0,
) -> Optimizer:
    """Build an optimizer without weight decay for biases and norm layers, which do not overfit.

    Each parameter group has an ``initial_lr``, to which a `zoo.engine.schedule.Schedule` applies its multiplier.

    Args:
        design: Kind of optimizer, and the options that only this kind has.
        parameters: Parameters of the model. Those that do not require gradients are ignored.
        lr: Maximum learning rate.
        weight_decay: Weight decay of parameters with more than one dimension.
        scale: Function that returns a parameter's learning rate multiplier.
    """
    members: defaultdict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.requires_grad:
            members[scale(parameter), weight_decay if parameter.ndim > 1 else 0.0].append(parameter)
    # The first group has the highest learning rate, which is the one that zoo reports.
    groups = [
        {"params": members[key], "weight_decay": key[1], "initial_lr": lr * key[0]}
        for key in sorted(members, reverse=True)
    ]
    trainable = [parameter for parameters in members.values() for parameter in parameters]
    fused = not any(parameter.is_complex() for parameter in trainable)
    # A fused optimizer makes only one pass over memory per step; memory access takes most of a step's time for large
    # heads. The kernels do not support complex numbers.
    if design.name == "sgd":
        # The fused kernel of SGD does not support sharded parameters. If the first step overflows, as can happen with
        # fp16 on GPUs, the kernel leaves the momentum uninitialized.
        fused &= all(parameter.device.type == "cpu" and not is_sharded_tensor(parameter) for parameter in trainable)
        return torch.optim.SGD(groups, lr=lr, momentum=design.momentum, nesterov=design.nesterov, fused=fused)
    kind: type[torch.optim.Adam] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[design.name]
    return kind(groups, lr=lr, betas=design.betas, eps=design.eps, fused=fused)
