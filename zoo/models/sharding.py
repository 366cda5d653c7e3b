"""Parameters divided between processes, for networks that do not fit into the memory of one: torch's FSDP2.

Each process holds its part of every parameter, of its gradient and of what the optimizer remembers of it. A block is
put together when it is run, and taken apart again. Whoever looks at a whole tensor needs all processes for it.
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
    """Divide a model between so many processes, block by block, and move it to the device; its names stay.

    What is frozen must be so already.
    """
    # Here, for it takes half a second.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (size,))
    for module in _list_units(model, blocks):
        fully_shard(module, mesh=mesh)
    # What only the model itself holds would stay put together after a pass without gradients.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # a process's loss is its part of the mean already
            module.set_force_sum_reduction_for_comms(enable=True)  # gloo knows no other


def _list_units(model: nn.Module, blocks: Sequence[BlockSpec]) -> Iterator[nn.Module]:
    """Yield the modules that are put together at a time; what is in none of them is so with the model itself."""
    modules = dict(model.named_modules())
    for prefix in (prefix for block in blocks for prefix in block.prefixes):
        module = modules.get(prefix)
        members = module.children() if isinstance(module, (nn.ModuleList, nn.ModuleDict)) else filter(None, [module])
        yield from (member for member in members if any(True for _ in member.parameters()))


def is_sharded(model: nn.Module) -> bool:
    """Tell whether a model is divided."""
    return any(is_divided(parameter) for parameter in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor put together; where it is divided, all processes must ask, and it is on the CPU."""
    # The device has room for one at a time, but not for all.
    return tensor.full_tensor().cpu() if is_divided(tensor) else tensor


def part(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds, not a copy; where it is not divided that is all of it."""
    return tensor.to_local() if is_divided(tensor) else tensor


@torch.no_grad()
def put(target: Tensor, source: Tensor) -> None:
    """Copy a whole tensor, which all processes have, into one that may be divided."""
    if not is_divided(target):
        target.copy_(source)
        return
    from torch.distributed.tensor import distribute_tensor

    moved = source.to(device=target.device, dtype=target.dtype)
    mine = distribute_tensor(moved, target.device_mesh, target.placements, src_data_rank=None)
    part(target).copy_(part(mine))


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state_dict, put together; where it is divided, all processes must ask."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}


def contribute(tensors: Iterable[Tensor]) -> None:
    """Give another process, which puts these tensors together, this one's part of each."""
    for tensor in tensors:
        whole(tensor)


def is_divided(tensor: Tensor) -> TypeGuard[DTensor]:
    """Tell whether a tensor is divided."""
    return hasattr(tensor, "full_tensor")  # what torch's DTensor alone has; to import it takes half a second
