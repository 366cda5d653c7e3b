"""Tensors of a weights file: safetensors, or a pickle with a pinned hash."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import WeightsError
from zoo.files.download import sha256_of
from zoo.files.http import file_name

if TYPE_CHECKING:
    from torch import Tensor

PICKLES = frozenset({".pth", ".pt", ".bin"})
#: Where training scripts put the tensors when they save more than these.
NESTS = frozenset({"state_dict", "model", "model_state"})
#: How the files begin that are most often mistaken for safetensors.
IMPOSTORS = {
    b"<": "a web page",
    b"PK\x03\x04": "a pickle that torch.save wrote (.pth)",
    b"\x80\x02": "a pickle that an old torch.save wrote (.pth)",
    b"version https://git-lfs": "a Git LFS pointer to the file, not the file",
}


def read_weights(path: Path, *, sha256: str | None) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU, mapped from the file where its format allows.

    ``sha256`` is what a plugin pinned, all 64 hex digits or the first 8 or more; with it a .pth, .pt or .bin file is
    read as well. Raises WeightsError.
    """
    suffix = read_suffix(path.name)
    if suffix not in PICKLES | {".safetensors"}:
        raise WeightsError(f"{path} is no weights file that zoo can read; pass a .safetensors file")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; pass a .safetensors file")
    if suffix in PICKLES and len(sha256 or "") < 8:
        raise make_unpinned_error(str(path))
    try:
        if sha256 is not None:
            _check_digest(path, sha256)
        return _tensors(path, _read_safetensors(path) if suffix == ".safetensors" else _read_pickle(path))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except SafetensorError as error:
        raise WeightsError(f"{path} is {_what_is(path)} ({error}); fetch or save it anew") from error


def _read_pickle(path: Path) -> Any:
    import pickle
    import zipfile

    import torch

    try:  # only the format since torch 1.6, a zip file, can be mapped
        read = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise WeightsError(f"{path} holds something else than tensors, or is damaged{_detail(error)}") from error
    if isinstance(read, dict) and len(read) == 1 and NESTS.issuperset(read):
        inner = next(iter(read.values()))
        return inner if isinstance(inner, dict) else read
    return read


def _detail(error: Exception) -> str:
    """Return what torch.load stumbled over, without its advice to load the file all the same."""
    found = re.search(r"Unsupported (?:global|class|operand)[^.]*?([\w.]+\.\w+)", str(error))
    return f": it wants to call {found[1]}" if found else ""


def _tensors(path: Path, read: Any) -> dict[str, Tensor]:
    from torch import Tensor

    wanted = f"{path} must hold nothing but named tensors"
    if not isinstance(read, dict):
        raise WeightsError(f"{wanted}; it is a {type(read).__name__}")
    for name, value in read.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise WeightsError(f"{wanted}; its {name!r} is a {type(value).__name__}")
    if not read:
        raise WeightsError(f"{wanted}; it is empty")
    return dict(read)


def _check_digest(path: Path, sha256: str) -> None:
    found = sha256_of(path)
    if not found.startswith(sha256.lower()):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 is {found}, not {sha256}; "
            "delete it to fetch it anew, or, if a plugin brings it, reinstall that"
        )


def _what_is(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    known = (what for first, what in IMPOSTORS.items() if start.startswith(first))
    return next(known, "damaged, or no safetensors file" if start else "empty")


def make_unpinned_error(source: str) -> WeightsError:
    """Return the error for a pickle that no plugin has pinned."""
    name = file_name(source) if "://" in source else Path(source).name
    convert = f"s.save_file(torch.load('{name}', weights_only=True), '{Path(name).stem}.safetensors')"
    return WeightsError(
        f"{source} is a pickle, which can run code when it is read, and no digest of it is pinned. Where you trust it, "
        f'convert it and pass the result: python -c "import torch, safetensors.torch as s; {convert}"'
    )


def read_suffix(name: str) -> str:
    """Return the suffix of a file name, in lower case."""
    return Path(name).suffix.lower()
