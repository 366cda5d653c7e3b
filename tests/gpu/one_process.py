"""Check collectives, FSDP2 and batch norms in a process group with one process, over NCCL on a GPU and gloo on a CPU.

python tests/gpu/one_process.py DEVICE
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from learners import CLASSES, copy_state, generate_batch, make_learner
from zoo.engine.device import Hardware, allowing_tf32
from zoo.engine.distributed.sync_batch_norm import SyncedBatchNorm
from zoo.engine.distributed.world import World
from zoo.engine.step import learn
from zoo.models.sharding import full_tensor, is_sharded, shard
from zoo.plugin import BlockSpec

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.int64)


def build_blocks() -> nn.Module:
    """Build a network of two blocks and a head with the same weights each time."""
    torch.manual_seed(1)
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU())
    body = nn.Sequential(nn.Conv2d(16, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    model = nn.Sequential()
    for name, module in {"stem": stem, "body": body, "flatten": nn.Flatten(), "fc": nn.Linear(16, CLASSES)}.items():
        model.add_module(name, module)
    return model


def check_messages(device: torch.device) -> None:
    """Sum and broadcast tensors of several types in this group of one process. They must not change."""
    tensors = [torch.arange(7, device=device).to(dtype) for dtype in DTYPES]
    wanted = [tensor.clone() for tensor in tensors]
    world = World(size=2)  # a world with one process would not communicate
    for tensor in tensors:
        world.sum_(tensor)
    world.broadcast_(tensors)
    assert all(map(torch.equal, tensors, wanted)), "the tensors changed"


def check_sharding(device: torch.device) -> None:
    """Take three steps with a sharded network and with a plain network. The weights must be equal up to rounding."""
    hardware = Hardware(device, "fp32")
    plain, sharded = build_blocks().to(device), build_blocks()
    blocks = [BlockSpec("stem", ("stem",)), BlockSpec("body", ("body",))]
    shard(sharded, blocks, device, 1)
    assert is_sharded(sharded)
    images, labels = generate_batch(device, 8, 32)
    with allowing_tf32(hardware):
        for model in (plain, sharded):
            learner = make_learner(model, hardware)
            for step in range(3):
                learn(learner, (images, labels), step)
    found = {name: full_tensor(tensor.detach()).cpu() for name, tensor in sharded.state_dict().items()}
    torch.testing.assert_close(found, copy_state(plain), rtol=0, atol=1e-4)


def check_batch_norms(device: torch.device) -> None:
    """Run a synchronized batch norm and a plain one. Outputs, gradients and statistics must be equal up to rounding."""
    found = []
    for mode in (nullcontext(), SyncedBatchNorm()):
        norm = nn.BatchNorm2d(5).to(device)
        images = (3 + torch.randn(4, 5, 6, 6, generator=torch.Generator().manual_seed(1))).to(device).requires_grad_()
        with mode:
            outputs: Tensor = norm(images)
            (outputs * outputs.detach().cos()).sum().backward()
        found.append([outputs.detach(), images.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def main(name: str) -> None:
    """Join a group of one process and run the checks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    device = torch.device(name, 0) if name == "cuda" else torch.device(name)
    backend = "cpu:gloo,cuda:nccl" if name == "cuda" else "gloo"
    dist.init_process_group(backend, rank=0, world_size=1)
    check_messages(device)
    check_sharding(device)
    check_batch_norms(device)
    sys.stdout.write(f"checked over {dist.get_backend_config()}\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
