"""Out-of-memory errors, and a callable that raises an error once."""

from __future__ import annotations

import torch

SAYINGS = [
    torch.OutOfMemoryError("CUDA out of memory. TriedRate to allocate 2.00 GiB"),
    RuntimeError("CUDA out of memory. TriedRate to allocate 20.00 MiB (GPU 0)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ..."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:66] DefaultCPUAllocator: not enough memory: you tried ..."),
]


class Once:
    """A callable that raises an error only the first time."""

    def __init__(self, error: Exception) -> None:
        self.errors = [error]

    def __call__(self, *_: object) -> None:
        if self.errors:
            raise self.errors.pop()
