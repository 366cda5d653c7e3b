"""Where the arithmetic is done, and how precisely."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from zoo.data.cores import count_cores
from zoo.data.loader import LoaderOptions
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import OptionError

#: Batches that wait for a GPU, and threads that decode for one, or for a processor, where there are so many cores.
AHEAD, GPU_WORKERS, CPU_WORKERS = 3, 16, 4
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Hardware:
    """A device, the precision of the arithmetic on it, and the processes that share the work."""

    device: torch.device
    precision: str
    world: World = ALONE

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the model runs; parameters stay in fp32 whatever the precision."""
        enabled = self.precision != "fp32"
        return torch.autocast(self.device.type, dtype=_DTYPES[self.precision], enabled=enabled)

    def build_scaler(self) -> torch.amp.GradScaler:
        """Build what keeps small fp16 gradients from vanishing; it does nothing for other precisions."""
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        scaler.scale(torch.zeros((), device=self.device))  # it must have been asked once before a step can be undone
        return scaler


def choose_hardware(device: str = "auto", precision: str = "auto", world: World = ALONE) -> Hardware:
    """Return the device and the precision that were asked for, or the best that is known to be safe.

    ``auto`` is fp32 until a backbone is known: see `zoo.engine.precision.settle_precision`.

    Raises:
        OptionError: this machine lacks the device, or the device the precision.
    """
    chosen = _choose_device(device)
    if chosen.type == "mps" and world.size > 1:
        if device != "auto":
            raise OptionError("processes cannot exchange tensors on mps; set `device` to cpu, or use one process.")
        chosen = torch.device("cpu")
    if chosen.type == "cuda" and world.size > 1:
        if world.local_rank >= torch.cuda.device_count():
            raise OptionError(f"process {world.local_rank} has no GPU; torch finds {torch.cuda.device_count()} here.")
        chosen = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(chosen)
    if precision == "fp16" and chosen.type == "cpu":
        raise OptionError("fp16 needs a GPU; on a processor it is fp32 or bf16.")
    return Hardware(chosen, "fp32" if precision == "auto" else precision, world)


def _choose_device(device: str) -> torch.device:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present[device]:
        here = ", ".join(kind for kind, is_here in present.items() if is_here)
        raise OptionError(f"torch finds no {device} here; it finds {here}.")
    return torch.device(device)


def place(model: nn.Module, hardware: Hardware) -> None:
    """Move a model to the device, its weights laid out for convolutions over channels-last images."""
    model.to(device=hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextmanager
def rounding(hardware: Hardware) -> Iterator[None]:
    """Let a GPU round to TF32 what is left in fp32 beside bf16 or fp16, and nothing where fp32 was asked for.

    Left to itself torch rounds in convolutions, and not in matrix products.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if hardware.device.type == "cuda":
        rounds = hardware.precision != "fp32"
        torch.set_float32_matmul_precision("high" if rounds else "highest")
        torch.backends.cudnn.allow_tf32 = rounds
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def plan_loading(hardware: Hardware, batch_size: int, workers: int | None = None) -> LoaderOptions:
    """Return how batches are loaded for that hardware; workers None: one for each core, up to a number."""
    on_gpu = hardware.device.type == "cuda"
    most = max(1, count_cores() // hardware.world.local_size)
    count = min(GPU_WORKERS if on_gpu else CPU_WORKERS, most) if workers is None else workers
    # Where the cores that decode are those that compute, they take turns: threads that wait for each other are slow.
    return LoaderOptions(batch_size=batch_size, workers=count, ahead=AHEAD if on_gpu else 0, pin_memory=on_gpu)
