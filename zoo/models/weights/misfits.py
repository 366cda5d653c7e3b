"""Compare the tensors of a file with the model that they are loaded into."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from zoo.models.head import Head, is_below, is_below_any

#: Data types that zoo loads. Values of other types, such as float8, need scales that are stored separately.
DTYPES = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128, torch.complex64,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8,
        torch.bool,
    }
)  # fmt: skip
#: Error message for a file that has tensors of other types.
UNSUPPORTED = "has data types that zoo cannot load (convert them to float32):"


def find_misfits(
    state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: Head, lacks: Sequence[str]
) -> dict[str, list[str]]:
    """Return the names and shapes that do not match the model, grouped by fault.

    Args:
        state: The ``state_dict`` of the model.
        tensors: Tensors to load, under the model's names.
        head: The head of the model.
        lacks: Prefixes of parameter names that the tensors may lack.
    """
    return {
        "lacks": list_missing(state, tensors, head, lacks),
        "has the unknown tensors": [name for name in tensors if name not in state],
        "has different shapes:": list_misshapen(state, tensors, head),
    }


def list_misshapen(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: Head | None = None) -> list[str]:
    """Describe the tensors whose shapes do not match the model.

    Args:
        state: The ``state_dict`` of the model.
        tensors: Tensors to load, under the model's names.
        head: The head of the model, which can have any number of outputs. Default: it must match as well.
    """
    return [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(state[name].shape)}"
        for name in tensors
        if name in state
        and not _fits(tensors[name].shape, state[name].shape, in_head=head is not None and head.covers(name))
    ]


def describe_dtype(name: str, tensor: Tensor) -> str | None:
    """Return the name and the data type of a tensor if zoo cannot load this type, else None."""
    return None if tensor.dtype in DTYPES else f"{name} ({str(tensor.dtype).removeprefix('torch.')})"


def list_missing(
    state: Mapping[str, Tensor], names: Collection[str], head: Head, lacks: Sequence[str] = ()
) -> list[str]:
    """List the required names that a file lacks.

    A file may lack an entire head, the parameters that it is declared to lack, and the ``num_batches_tracked`` counters
    of batch norms, which older files do not contain. It needs only one of the names of a parameter that has several.
    """
    heads = (*head.paths, *head.aux_paths)
    absent_heads = [path for path in heads if not any(is_below(name, path) for name in names)]
    optional = (*absent_heads, *lacks)
    present = {_identity(state[name]) for name in names if name in state}
    return [
        name
        for name in state
        if _identity(state[name]) not in present
        and not name.endswith("num_batches_tracked")
        and not is_below_any(name, optional)
    ]


def find_unusable(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of tensors whose values cannot be loaded, grouped by fault.

    Args:
        tensors: Tensors to load.
        state: The ``state_dict`` of the model. A buffer that is infinite there, such as a mask, may be infinite.
    """
    known = [name for name in tensors if name in state]
    if unknown := [text for name in known if (text := describe_dtype(name, tensors[name]))]:
        return {UNSUPPORTED: unknown}
    return {
        "has the wrong kind of numbers (integer, float or complex) in": [
            name for name in known if _kind(tensors[name]) != _kind(state[name])
        ],
        "has non-finite values in": [name for name in known if not is_finite(tensors[name]) and is_finite(state[name])],
    }


def is_finite(tensor: Tensor) -> bool:
    """Return whether all values of a tensor are finite."""
    # A finite sum proves that every value is finite, and is 20 times as fast: 0.06 s instead of 1.6 s for VGG16 on two
    # cores. A sum of finite values may overflow, so an infinite sum needs the full check.
    return bool(tensor.sum().isfinite() or tensor.isfinite().all())


def _fits(theirs: torch.Size, ours: torch.Size, *, in_head: bool) -> bool:
    """Compare two shapes. Those in a head can have any positive number of outputs."""
    if in_head and theirs and theirs[0] > 0:
        return theirs[1:] == ours[1:]
    return theirs == ours


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """Return a value that is equal for two tensors of floats, of complex numbers, or of integers."""
    return tensor.is_floating_point(), tensor.is_complex()


def _identity(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    """Return a value that is equal for two names of the same parameter."""
    return tensor.data_ptr(), tuple(tensor.shape)
