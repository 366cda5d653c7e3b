"""All that decides how a run goes on: what learns, and what the optimizer remembers of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.engine.loop import Learner

_MODEL, _OPTIMIZER = "model.", "optimizer."


def capture_tensors(learner: Learner, model: nn.Module) -> dict[str, Tensor]:
    """Return copies of what moved or may have moved, by name: ``model.NAME``, ``optimizer.NAME.SLOT``.

    Args:
        learner: whose optimizer it is.
        model: the whole network, which may be more than what the learner runs.
    """
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in _list_moving(model).items()}
    names = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, slots in learner.optimizer.state.items():
        tensors |= {f"{_OPTIMIZER}{names[parameter]}.{slot}": value for slot, value in slots.items()}
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def restore_tensors(learner: Learner, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put them back, bit for bit.

    Raises:
        ValueError: they are not those of this network and this optimizer.
    """
    moving = _list_moving(model)
    given = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items() if name.startswith(_MODEL)}
    odd = {name for name in given.keys() & moving.keys() if not _are_of_one_kind(given[name], moving[name])}
    odd |= given.keys() ^ moving.keys()
    if odd:
        raise ValueError(f"{', '.join(sorted(odd)[:3])} differ")
    for name, tensor in moving.items():
        tensor.copy_(given[name])
    for name, parameter in model.named_parameters():
        _restore_slots(learner.optimizer, parameter, f"{_OPTIMIZER}{name}.", tensors)


def _restore_slots(optimizer: Optimizer, parameter: nn.Parameter, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    slots: dict[str, Any] = {}
    for name, tensor in tensors.items():
        slot = name.removeprefix(prefix)
        if name.startswith(prefix) and "." not in slot:
            # In the parameter's own layout, which fused kernels rely on.
            like = torch.empty_like(parameter, dtype=tensor.dtype) if tensor.shape == parameter.shape else None
            slots[slot] = tensor.to(parameter.device, copy=True) if like is None else like.copy_(tensor)
    if slots:
        optimizer.state[parameter] = slots


def _are_of_one_kind(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)


def _list_moving(model: nn.Module) -> dict[str, Tensor]:
    """List the parameters that learn, and all buffers: statistics move without gradients."""
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {**learning, **dict(model.named_buffers())}
