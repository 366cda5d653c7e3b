"""Reads the tensors of a weights file, which is safetensors, or a pickle whose SHA-256 is pinned."""

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
#: Keys under which training scripts save the tensors if a file contains more than tensors.
NESTS = frozenset({"state_dict", "model", "model_state"})
#: First bytes of files that are often mistaken for safetensors, and what these files are.
IMPOSTORS = {
    b"<": "a web page",
    b"PK\x03\x04": "a pickle that torch.save wrote (.pth)",
    b"\x80\x02": "a pickle in the legacy format of torch.save (.pth)",
    b"version https://git-lfs": "a Git LFS pointer to the file, not the file",
}


def read_weights(path: Path, *, sha256: str | None) -> dict[str, Tensor]:
    """Read the tensors of a weights file.

    Args:
        path: A .safetensors file, or a .pth, .pt or .bin file if ``sha256`` is not None.
        sha256: The pinned SHA-256 of the file: all 64 hex digits, or at least the first 8; None to skip the check.

    Returns:
        The tensors by name, on the CPU. They are memory-mapped if the format allows it.

    Raises:
        WeightsError: If the file is missing, is damaged, has a different SHA-256, or contains anything but tensors.
    """
    suffix = read_suffix(path.name)
    if suffix not in PICKLES | {".safetensors"}:
        raise WeightsError(f"{path} is not a weights file that zoo can read; pass a .safetensors file")
    try:
        if not path.is_file():
            problem = "is a folder" if path.is_dir() else "does not exist"
            raise WeightsError(f"{path} {problem}; pass a .safetensors file")
        if suffix in PICKLES and len(sha256 or "") < 8:
            raise make_unpinned_error(str(path))
        if sha256 is not None:
            _check_digest(path, sha256)
        return _check_tensors(path, _read_safetensors(path) if suffix == ".safetensors" else _read_pickle(path))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except SafetensorError as error:
        raise WeightsError(f"{path} is {_describe_content(path)} ({error}); download or save it again") from error


def _read_pickle(path: Path) -> Any:
    import pickle
    import zipfile

    import torch

    try:  # only zip files, the format since torch 1.6, can be memory-mapped
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise WeightsError(f"{path} is damaged, or contains more than tensors{_describe_global(error)}") from error
    if isinstance(content, dict) and len(content) == 1 and NESTS.issuperset(content):
        inner = next(iter(content.values()))
        return inner if isinstance(inner, dict) else content
    return content


def _describe_global(error: Exception) -> str:
    """Return what torch.load refused to call, without its advice to load the file with weights_only=False."""
    found = re.search(r"Unsupported (?:global|class|operand)[^.]*?([\w.]+\.\w+)", str(error))
    return f": it would call {found[1]}" if found else ""


def _check_tensors(path: Path, content: Any) -> dict[str, Tensor]:
    from torch import Tensor

    wanted = f"{path} must contain only named tensors"
    if not isinstance(content, dict):
        raise WeightsError(f"{wanted}; it is a {type(content).__name__}")
    for name, value in content.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise WeightsError(f"{wanted}; its {name!r} is a {type(value).__name__}")
    if not content:
        raise WeightsError(f"{wanted}; it is empty")
    return dict(content)


def _check_digest(path: Path, sha256: str) -> None:
    found = sha256_of(path)
    if not found.startswith(sha256.lower()):
        raise WeightsError(
            f"{path} is damaged or is a different file: its SHA-256 is {found}, not {sha256}; "
            "delete it to download it again, or reinstall the plugin that provides it"
        )


def _describe_content(path: Path) -> str:
    with path.open("rb") as file:
        beginning = file.read(64).lstrip()
    known = (description for prefix, description in IMPOSTORS.items() if beginning.startswith(prefix))
    return next(known, "damaged, or not a safetensors file" if beginning else "empty")


def make_unpinned_error(source: str) -> WeightsError:
    """Return the error for a pickle whose SHA-256 no plugin pins.

    Args:
        source: Path or address of the pickle.
    """
    name = file_name(source) if "://" in source else Path(source).name
    convert = f"s.save_file(torch.load('{name}', weights_only=True), '{Path(name).stem}.safetensors')"
    return WeightsError(
        f"{source} is a pickle, which can run code when it is loaded, and its SHA-256 is not pinned. If you trust it, "
        f'convert it and pass the result: python -c "import torch, safetensors.torch as s; {convert}"'
    )


def read_suffix(name: str) -> str:
    """Return the suffix of a file name in lower case."""
    return Path(name).suffix.lower()
