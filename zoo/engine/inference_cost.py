"""What an inference costs: images per second, and the memory of all tensors."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.engine.device import Hardware

#: Number of images per batch on a CPU, which are enough to keep all cores busy, and on a GPU.
CPU_BATCH, GPU_BATCH = 8, 64
#: The measurement ends after this many batches and seconds. The fastest batch counts, because other programs can only
#: slow it down.
_BATCHES, _SECONDS = 3, 1.0


@dataclass(frozen=True)
class InferenceCost:
    """The cost of an inference on this machine."""

    #: Images that the network classifies per second, without decoding.
    images_per_second: float
    #: Peak size of all tensors in bytes while one image is classified, including the parameters.
    memory: int


@torch.no_grad()
def measure_cost(model: nn.Module, size: tuple[int, int, int], hardware: Hardware) -> InferenceCost:
    """Classify gray images with a model that is on its device, and measure the speed and the memory.

    Args:
        model: Model, which is set to eval mode.
        size: Channels, height and width of an image.
        hardware: Device and precision.
    """
    model.eval()
    batch = GPU_BATCH if hardware.device.type == "cuda" else CPU_BATCH
    images = torch.zeros(batch, *size, device=hardware.device).contiguous(memory_format=torch.channels_last)
    with hardware.autocast():
        image = images[:1].clone()
        tensors = _LiveTensors([*model.parameters(), *model.buffers(), image])
        with tensors:
            model(image)
        return InferenceCost(_measure_speed(model, images), tensors.peak)


def _measure_speed(model: nn.Module, images: Tensor) -> float:
    seconds: list[float] = []
    _classify(model, images)  # The first batch allocates memory and chooses kernels.
    while len(seconds) < _BATCHES or (sum(seconds) < _SECONDS and len(seconds) < 100):
        seconds.append(_classify(model, images))
        if sum(seconds) > 10 * _SECONDS:
            break
    return len(images) / min(seconds)


def _classify(model: nn.Module, images: Tensor) -> float:
    """Classify a batch, and return the seconds it took."""
    started = time.perf_counter()
    model(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return max(time.perf_counter() - started, 1e-9)


@dataclass
class _Count:
    bytes: int = 0
    peak: int = 0

    def add(self, size: int) -> None:
        self.bytes += size
        self.peak = max(self.peak, self.bytes)


@dataclass
class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotation here
    """Counts the bytes of all tensors that exist at the same time. Memory inside of kernels is not counted."""

    known: list[Tensor]
    _count: _Count = field(default_factory=_Count)
    _seen: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        for tensor in self.known:
            self._watch(tensor)

    @property
    def peak(self) -> int:
        return self._count.peak

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._watch(leaf)
        return result

    def _watch(self, tensor: Tensor) -> None:
        """Count the memory of a tensor once, until it is freed. Views of a tensor share its memory."""
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            self._seen.add(storage)
            size = storage.nbytes()
            self._count.add(size)
            weakref.finalize(storage, self._count.add, -size)
