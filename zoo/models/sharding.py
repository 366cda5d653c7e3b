"""Sharding of parameters across processes with torch's FSDP2, for networks that do not fit in the memory of one GPU.

Each process holds its shard of every parameter, of its gradient and of its optimizer state. The parameters of a block
are gathered while the block runs. Gathering a full tensor is a collective operation: all processes must take part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

from zoo.plugin import BlockSpec

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def shard(model: nn.Module, blocks: Sequence[BlockSpec], device: torch.device, size: int) -> None:
    """Shard a model block by block and move it to a device. Parameter names stay the same.

    Args:
        model: The model, whose frozen parameters must already be frozen. It is changed in place.
        blocks: The blocks of the model, without its head.
        device: The device of this process.
        size: The number of processes.
    """
    # These imports take half a second.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (size,))
    for module in _list_units(model, blocks):
        fully_shard(module, mesh=mesh)
    # Without resharding, the parameters outside of all blocks would stay gathered after a forward pass without
    # gradients.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # the loss is already divided by the size of the batch
            module.set_force_sum_reduction_for_comms(enable=True)  # gloo supports no other reduction


def _list_units(model: nn.Module, blocks: Sequence[BlockSpec]) -> Iterator[nn.Module]:
    """Yield the modules whose parameters are gathered together. The model itself gathers all other parameters."""
    modules = dict(model.named_modules())
    for prefix in (prefix for block in blocks for prefix in block.prefixes):
        module = modules.get(prefix)
        members = module.children() if isinstance(module, (nn.ModuleList, nn.ModuleDict)) else filter(None, [module])
        yield from (member for member in members if any(True for _ in member.parameters()))


def is_sharded(model: nn.Module) -> bool:
    """Return whether a model is sharded."""
    return any(is_sharded_tensor(parameter) for parameter in model.parameters())


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the full tensor. A sharded tensor is gathered on the CPU, and all processes must call this."""
    # The device has memory for one full tensor at a time, but not for all of them.
    return tensor.full_tensor().cpu() if is_sharded_tensor(tensor) else tensor


def local_tensor(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor without copying it. A tensor that is not sharded is returned in full."""
    return tensor.to_local() if is_sharded_tensor(tensor) else tensor


@torch.no_grad()
def copy_full_tensor(target: Tensor, source: Tensor) -> None:
    """Copy a full tensor, which all processes must have, into a tensor that may be sharded."""
    if not is_sharded_tensor(target):
        target.copy_(source)
        return
    from torch.distributed.tensor import distribute_tensor

    moved = source.to(device=target.device, dtype=target.dtype)
    sharded = distribute_tensor(moved, target.device_mesh, target.placements, src_data_rank=None)
    local_tensor(target).copy_(local_tensor(sharded))


def full_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state_dict with full tensors. If the model is sharded, all processes must call this."""
    return {name: full_tensor(tensor) for name, tensor in model.state_dict().items()}


def gather_for_other(tensors: Iterable[Tensor]) -> None:
    """Take part in gathering tensors that another process needs in full."""
    for tensor in tensors:
        full_tensor(tensor)


def is_sharded_tensor(tensor: Tensor) -> TypeGuard[DTensor]:
    """Return whether a tensor is sharded."""
    return hasattr(tensor, "full_tensor")  # only DTensor has it, and importing that class takes half a second
