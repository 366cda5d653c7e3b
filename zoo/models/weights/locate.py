"""Finds, fetches, verifies and reads a weights file.

What other tools have already downloaded is used where it is, and never written to. A pickle can run code when it is
read, so one is read only when a plugin has pinned the digest of exactly that file; all else comes as safetensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.errors import WeightsError
from zoo.files.cache import cache_folder
from zoo.files.download import fetch, sha256_of
from zoo.files.http import file_name
from zoo.files.hub_caches import find_in_hub_cache, find_in_torch_cache

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.plugin import WeightsSpec
    from zoo.progress import Progress

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


def locate_weights(weights: WeightsSpec, progress: Progress) -> Path:
    """Return the file of ``weights``: a local one, one from a cache of ours, torch's or the Hub's, or a fetched one.

    A file in another tool's cache counts only when it fits what is pinned. Raises WeightsError, and DownloadError when
    the file has to be fetched and cannot be.
    """
    url = weights.url
    if url is None:
        raise WeightsError(f"Weights {weights.tag!r} are not published anywhere; pass them as a .safetensors file")
    if url.startswith("file:"):
        path = Path(url2pathname(urlsplit(url).path))
        if not path.is_file():
            raise WeightsError(
                f"weights {weights.tag!r} should lie at {path} and do not; reinstall the plugin they are from"
            )
        return path
    if _suffix(file_name(url)) in PICKLES and weights.sha256 is None:
        raise _unpinned(url)  # before a gigabyte is fetched that will not be read
    own = cache_folder() / "weights" / _cache_name(weights, url)
    if not own.exists():
        for found in _elsewhere(weights, url):
            if (wrong := _mismatch(found, weights)) is None:
                return found
            progress.say(f"{found} is not used: {wrong}")
    # The size that upstream states may be rounded: it is not checked.
    return fetch(url, own, sha256=weights.sha256, size=None, progress=progress)


def read_weights(path: Path, *, sha256: str | None) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU, mapped from the file where its format allows.

    ``sha256`` is what a plugin pinned, all 64 hex digits or the first 8 or more; with it a .pth, .pt or .bin file is
    read as well. Raises WeightsError.
    """
    suffix = _suffix(path.name)
    if suffix not in PICKLES | {".safetensors"}:
        raise WeightsError(f"{path} is no weights file that zoo can read; pass a .safetensors file")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; pass a .safetensors file")
    if suffix in PICKLES and len(sha256 or "") < 8:
        raise _unpinned(str(path))
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


def _unpinned(source: str) -> WeightsError:
    name = file_name(source) if "://" in source else Path(source).name
    convert = f"s.save_file(torch.load('{name}', weights_only=True), '{Path(name).stem}.safetensors')"
    return WeightsError(
        f"{source} is a pickle, which can run code when it is read, and no digest of it is pinned. Where you trust it, "
        f'convert it and pass the result: python -c "import torch, safetensors.torch as s; {convert}"'
    )


def _mismatch(path: Path, weights: WeightsSpec) -> str | None:
    """Return what is wrong with a file of somebody else's cache, None where it fits."""
    try:
        if weights.sha256 is not None and not (found := sha256_of(path)).startswith(weights.sha256):
            return f"its SHA-256 is {found}, not {weights.sha256}"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    return None


def _elsewhere(weights: WeightsSpec, url: str) -> Iterator[Path]:
    if url.startswith("hf://"):
        return find_in_hub_cache(url)
    if weights.sha256 is not None:
        return find_in_torch_cache(url)
    return iter(())  # a name alone does not tell that it is the same file


def _cache_name(weights: WeightsSpec, url: str) -> str:
    """Return a name that no other address or digest has, and that every file system takes."""
    identity = hashlib.sha256(f"{url} {weights.sha256 or ''}".encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", file_name(url))
    return f"{identity[:16]}-{readable[-80:]}"


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
