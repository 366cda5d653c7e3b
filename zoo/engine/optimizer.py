"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, StepLR

MOMENTUM = 0.9
#: Of a one-cycle schedule: the share of its steps that rise, and the share of the highest rate that it begins at.
RISE, LOWEST = 0.25, 0.04


def build_optimizer(name: str, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
    """Build an optimizer; biases and the scales of norms do not decay, since they do not overfit."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # fused: one pass over memory a step, which on large heads is most of the step's time.
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, fused=True)
    kind: type[torch.optim.Adam] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(groups, lr=lr, fused=True)


def build_schedule(name: str, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Build a schedule over that many optimizer steps in all; the optimizer's rate is its highest one."""
    if name == "onecycle":
        return LambdaLR(optimizer, lambda step: share_of_highest(step, steps))
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if name == "step":
        # Two drops by ten, after each third.
        return StepLR(optimizer, step_size=max(1, math.ceil(steps / 3)), gamma=0.1)
    return LambdaLR(optimizer, lambda _step: 1.0)


def share_of_highest(step: int, steps: int) -> float:
    """Return what share of its highest rate a one-cycle schedule takes at a step: up for a quarter, then down to zero.

    Source: Smith 2018, arXiv:1803.09820. torch's OneCycleLR divides by zero on runs of four steps, and takes the only
    step of a run of one at a rate of nearly nothing.
    """
    rise = max(1, round(steps * RISE))
    if step < rise:
        return LOWEST + (1 - LOWEST) * (1 - math.cos(math.pi * (step + 1) / rise)) / 2
    return (1 + math.cos(math.pi * (step + 1 - rise) / (steps - rise + 1))) / 2
