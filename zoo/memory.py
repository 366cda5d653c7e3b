"""What is said where memory is short."""

from __future__ import annotations

import torch

#: Besides torch's own error for it: by cuBLAS, by cuDNN, and for processors.
SAYINGS = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
    "can't allocate memory",
    "not enough memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory is short."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in SAYINGS)
