"""The device and the precision of computations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from zoo.data.cores import count_cores
from zoo.data.loader import LoaderOptions
from zoo.data.loading_processes import can_start_processes
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import OptionError

#: Number of batches that are prepared in advance for a GPU.
AHEAD = 3
#: Maximum numbers of threads that decode images when training on a GPU and on a CPU.
GPU_WORKERS, CPU_WORKERS = 16, 4
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Hardware:
    """A device, the precision of computations on it, and the processes of the run."""

    device: torch.device
    precision: str
    world: World = ALONE

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the model runs; parameters stay in fp32 regardless of the precision."""
        enabled = self.precision != "fp32"
        return torch.autocast(self.device.type, dtype=_DTYPES[self.precision], enabled=enabled)

    def build_scaler(self) -> torch.amp.GradScaler:
        """Build a gradient scaler, which is enabled only for fp16."""
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        # The scaler creates its state on the first call, and undoing the first step needs that state.
        scaler.scale(torch.zeros((), device=self.device))
        return scaler


def choose_hardware(device: str = "auto", precision: str = "auto", world: World = ALONE) -> Hardware:
    """Return the requested device and precision; ``auto`` chooses the best available device.

    A precision of ``auto`` is fp32 until the backbone is known; see `zoo.engine.precision.choose_precision`.

    Raises:
        OptionError: If the device is not available, or does not support the precision.
    """
    chosen = _choose_device(device)
    if chosen.type == "mps" and world.size > 1:
        if device != "auto":
            raise OptionError("processes cannot exchange tensors on mps; set `device` to cpu, or use one process.")
        chosen = torch.device("cpu")
    if chosen.type == "cuda" and world.size > 1:
        if world.local_rank >= torch.cuda.device_count():
            raise OptionError(
                f"no GPU for process {world.local_rank}; number of GPUs on this machine: {torch.cuda.device_count()}."
            )
        chosen = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(chosen)
    if precision == "fp16" and chosen.type == "cpu":
        raise OptionError("fp16 needs a GPU; use fp32 or bf16 on a CPU.")
    return Hardware(chosen, "fp32" if precision == "auto" else precision, world)


def _choose_device(device: str) -> torch.device:
    is_available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if is_available[kind]))
    if not is_available[device]:
        available = ", ".join(kind for kind in is_available if is_available[kind])
        raise OptionError(f"{device.upper()} is not available; available: {available}.")
    return torch.device(device)


def place(model: nn.Module, hardware: Hardware) -> None:
    """Move a model to the device, with its weights in the channels-last memory format."""
    model.to(device=hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def seed_generators(seed: int, device: torch.device) -> None:
    """Set the seed of the random numbers on the CPU and on the device.

    On a CPU, ``torch.manual_seed`` would also store a seed for each kind of device that is not in use, with a
    traceback. This takes an eighth of the time of an epoch on cached features.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


@contextmanager
def allowing_tf32(hardware: Hardware) -> Iterator[None]:
    """Return a context in which a GPU uses TF32 for fp32 operations, unless the precision is fp32.

    By default, torch uses TF32 for convolutions but not for matrix multiplications.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if hardware.device.type == "cuda":
        allow_tf32 = hardware.precision != "fp32"
        torch.set_float32_matmul_precision("high" if allow_tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = allow_tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def plan_loading(hardware: Hardware, batch_size: int, workers: int | None = None) -> LoaderOptions:
    """Return the loader options for the hardware; ``workers`` defaults to the number of cores, up to a maximum.

    For a GPU, many images are decoded in processes if the machine can start them.
    """
    on_gpu = hardware.device.type == "cuda"
    cores = max(1, count_cores() // hardware.world.local_size)
    if workers is None:
        workers = min(GPU_WORKERS if on_gpu else CPU_WORKERS, cores)
    # On a CPU, decoding and training take turns on the same cores. Running both at once is slower, because
    # torch's threads would wait for each other.
    ahead, use_processes = (AHEAD, can_start_processes()) if on_gpu else (0, False)
    return LoaderOptions(
        batch_size=batch_size, workers=workers, ahead=ahead, pin_memory=on_gpu, use_processes=use_processes
    )
