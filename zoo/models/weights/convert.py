"""Convert a file that torch.save wrote to a .safetensors file that the ``weights`` option accepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.errors import OptionError, WeightsError
from zoo.files.atomic import atomic_run_write
from zoo.files.paths import expand_user
from zoo.models.weights.misfits import UNSUPPORTED, describe_dtype
from zoo.models.weights.nested import SHOWN, Found, find_tensors
from zoo.models.weights.read import read_suffix, read_weights
from zoo.models.weights.shorten import shorten
from zoo.models.weights.torch_file import is_torch_file, read_torch_file

#: First part of all names in a file that was saved from DistributedDataParallel, DataParallel or DeepSpeed.
OUTER = frozenset({"module", "_forward_module"})
#: Parts that torch.compile, FSDP and checkpointing insert anywhere in a name.
INSERTED = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})

#: The one key in a safetensors header that does not name a tensor.
METADATA = "__metadata__"

#: Size of the copied tensors in bytes that is always allowed, and the allowed multiple of the size of the file. Each
#: tensor is usually in the file once, or twice if weights are tied; a compressed file may be a few times smaller.
_SMALL, _MOST_TIMES = 2**24, 10


@dataclass(frozen=True)
class Converted:
    """The result of a conversion: what was written, and what was skipped."""

    #: Path of the file that was read.
    file: str
    #: Path of the file that was written, and its size in bytes.
    output: str
    bytes: int
    #: Number of tensors that were written.
    tensors: int
    #: Dotted key under which the file has these tensors, or None if they are at the top level.
    key: str | None
    #: Other keys under which the file has tensors.
    other_keys: tuple[str, ...]
    #: Keys of everything else in the file.
    left_out: tuple[str, ...]
    #: Parts that were removed from the names, such as ``module.`` or the requested prefix.
    removed: tuple[str, ...]
    #: Names of the tensors that do not begin with the requested prefix.
    not_below: tuple[str, ...]

    def list_notes(self) -> Iterator[str]:
        """List remarks for the user."""
        if self.key is not None:
            others = f"; set `key` to use those under {shorten(self.other_keys, SHOWN)}" if self.other_keys else ""
            yield f"using the tensors under the key {self.key!r}{others}"
        if self.left_out:
            yield f"skipping entries that are not weights: {shorten(self.left_out, SHOWN)}"
        if self.removed:
            yield f"removing {' and '.join(map(repr, self.removed))} from the names of the tensors"
        if self.not_below:
            yield f"skipping the other tensors: {shorten(self.not_below)}"


def convert_weights(
    file: str | PathLike[str],
    output: str | PathLike[str],
    *,
    key: str | None = None,
    prefix: str | None = None,
    overwrite: bool = False,
) -> Converted:
    """Convert a file that torch.save wrote, such as a .pth or .ckpt file, to safetensors.

    Only tensors are loaded from the file, and nothing in it is run. The names of the tensors do not change,
    except that the parts that DistributedDataParallel, torch.compile and FSDP add are removed.

    Args:
        file: A file that torch.save wrote, or a .safetensors file with a prefix to remove.
        output: Path of the .safetensors file to write. It appears only when it is complete.
        key: Dotted key of the tensors in the file, such as ``state_dict_ema``; None to choose the usual one.
        prefix: Beginning of the names of the tensors to keep, such as ``encoder_q.``, which is removed; None to keep
            all tensors.
        overwrite: Whether to replace an existing file.

    Raises:
        OptionError: If ``output`` exists or has a different suffix, or if the file has nothing under ``prefix``.
        WeightsError: If the file is missing or damaged, contains no weights or objects that zoo
            does not load, or has NaN values.
        RunError: If the output cannot be written.
    """
    source, target = expand_user(file), expand_user(output)
    _check_output(target, overwrite=overwrite)
    found = _read(source, key)
    names = _rename(source, found.tensors, prefix)
    _refuse_expanded(source, [tensor for name, tensor in found.tensors.items() if name in names])
    tensors = {names[name]: _copy(source, name, tensor) for name, tensor in found.tensors.items() if name in names}
    with atomic_run_write(target, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    return Converted(
        file=str(source),
        output=str(target),
        bytes=target.stat().st_size,
        tensors=len(tensors),
        key=found.key,
        other_keys=found.others,
        left_out=found.left_out,
        removed=_list_removed(names, prefix),
        not_below=tuple(name for name in found.tensors if name not in names),
    )


def _check_output(path: Path, *, overwrite: bool) -> None:
    if read_suffix(path.name) != ".safetensors":
        raise OptionError(f"{path} must end in .safetensors, because `weights` accepts only such files.")
    if not path.parent.is_dir():
        raise OptionError(f"{path} cannot be written, because {path.parent} is not a folder; create it first.")
    if path.exists() and not overwrite:
        raise OptionError(f"{path} exists; choose a different name, or set `overwrite` to replace it.")


def _read(path: Path, key: str | None) -> Found:
    """Read the tensors of a file. Its content determines the format, not its name."""
    if not path.is_file():
        raise WeightsError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; pass a file with weights")
    try:
        if read_suffix(path.name) == ".safetensors" and not is_torch_file(path):
            return _read_safetensors(path, key)
        return find_tensors(str(path), read_torch_file(path), key)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error


def _read_safetensors(path: Path, key: str | None) -> Found:
    tensors = read_weights(path, digest=None)
    with safe_open(path, framework="pt") as file:
        if "zoo_format" in (file.metadata() or {}):
            raise WeightsError(f"{path} is the model of a run; pass it to `weights` without converting it")
    return find_tensors(str(path), tensors, key)


def _rename(path: Path, names: Collection[str], prefix: str | None) -> dict[str, str]:
    """Return the new names of the tensors to keep, by their names in the file.

    Raises:
        OptionError: If no tensor is under the prefix.
        WeightsError: If two tensors would have the same name, or one would have a reserved name.
    """
    plain = {name: name for name in names}
    below = _select(plain, prefix) or _select(_unwrap(plain), prefix)
    renamed = _unwrap(below)
    if not renamed:
        begin = sorted({f"{name.partition('.')[0]}." for name in _unwrap(plain).values()})
        raise OptionError(
            f"{path} has no tensors under the `prefix` {prefix!r}; its names begin with {shorten(begin)}."
        )
    if METADATA in renamed.values():
        raise WeightsError(f"{path} cannot be converted: a tensor is called {METADATA}, which safetensors reserves")
    twice = [name for name, count in Counter(renamed.values()).items() if count > 1]
    if twice:
        removed = " and ".join(sorted(INSERTED))
        raise WeightsError(
            f"after {removed} are removed, several tensors in {path} would have the same name: {shorten(twice)}"
        )
    return renamed


def _select(names: Mapping[str, str], prefix: str | None) -> dict[str, str]:
    beginning = f"{prefix.rstrip('.')}." if prefix else ""
    return {old: new.removeprefix(beginning) for old, new in names.items() if new.startswith(beginning)}


def _unwrap(names: Mapping[str, str]) -> dict[str, str]:
    """Remove the parts that torch and DeepSpeed add to names."""
    parts = {old: [part for part in new.split(".") if part not in INSERTED] for old, new in names.items()}
    while parts and all(len(each) > 1 and each[0] in OUTER for each in parts.values()):
        parts = {old: each[1:] for old, each in parts.items()}
    return {old: ".".join(each) for old, each in parts.items()}


def _list_removed(names: Mapping[str, str], prefix: str | None) -> tuple[str, ...]:
    asked = prefix.rstrip(".").split(".") if prefix else []
    removed = {
        part
        for old, new in names.items()
        for part in {*old.split(".")} & (OUTER | INSERTED)
        if part not in asked and old.split(".").count(part) > new.split(".").count(part)
    }
    return (*([".".join([*asked, ""])] if asked else []), *(f"{part}." for part in sorted(removed)))


def _refuse_expanded(path: Path, tensors: Iterable[Tensor]) -> None:
    """Refuse tensors that are much larger than the file. Tensors may share memory, so the limit is a multiple of it.

    Raises:
        WeightsError: If their copies would take far more memory than the file.
    """
    needed, size = sum(tensor.nbytes for tensor in tensors if tensor.layout is torch.strided), path.stat().st_size
    if needed > _SMALL + _MOST_TIMES * size:
        raise WeightsError(
            f"{path} cannot be converted: it has {size:,} bytes, but its tensors would take {needed:,}, because their "
            "values are repeated (Tensor.expand); save contiguous tensors"
        )


def _copy(path: Path, name: str, tensor: Tensor) -> Tensor:
    """Return a dense copy of a tensor, which shares no memory with any other.

    Raises:
        WeightsError: If the tensor is not dense, has a data type that zoo cannot load, or has NaN values.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
        raise WeightsError(f"{path} cannot be converted: {name} is a sparse, quantized or meta tensor, not a dense one")
    if unsupported := describe_dtype(name, tensor):
        raise WeightsError(f"{path} cannot be converted: it {UNSUPPORTED} {unsupported}")
    if tensor.isnan().any():
        raise WeightsError(f"{path} cannot be converted: {name} has NaN values, so the training that wrote it failed")
    return tensor.detach().clone(memory_format=torch.contiguous_format)
