"""Read the tensors of a weights file, which is safetensors, or a pickle that is pinned by a digest."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import WeightsError
from zoo.files.digest import Digest
from zoo.files.urls import file_name
from zoo.models.weights.torch_file import describe_content, is_torch_file, read_torch_file
from zoo.plugin.weights_spec import FILE_SUFFIXES

if TYPE_CHECKING:
    from torch import Tensor

#: Suffixes of files that torch.save wrote, which are pickles.
PICKLES = frozenset(FILE_SUFFIXES) - {".safetensors"}
#: The suffixes of a weights file, such as ``.pth.tar``.
SUFFIX = re.compile(rf"({'|'.join(map(re.escape, FILE_SUFFIXES))})+$", flags=re.IGNORECASE)


def read_weights(path: Path, *, digest: Digest | None) -> dict[str, Tensor]:
    """Read the tensors of a weights file.

    Args:
        path: A .safetensors file, or a file that torch.save wrote if ``digest`` is not None.
        digest: The pinned digest of the file, with at least 8 hex digits; None to skip the check. A weak digest is
            enough for a pickle, because nothing but tensors is loaded from it.

    Returns:
        The tensors by name, on the CPU. They are memory-mapped if the format allows it.

    Raises:
        WeightsError: If the file is missing, is damaged, has a different digest, or contains anything but
            tensors.
    """
    suffix = read_suffix(path.name)
    try:
        if not path.is_file():
            problem = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise WeightsError(f"{path} {problem}; pass a .safetensors file")
        is_pinned = digest is not None and len(digest.value) >= 8
        if not is_pinned and suffix != ".safetensors" and (suffix in PICKLES or is_torch_file(path)):
            raise make_unpinned_error(str(path))
        if suffix not in PICKLES | {".safetensors"}:
            raise WeightsError(f"{path} is not a weights file that zoo can read; pass a .safetensors file")
        if digest is not None:
            _check_digest(path, digest)
        return _read_safetensors(path) if suffix == ".safetensors" else _read_pickle(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path, device="cpu")
    except SafetensorError as error:
        if is_torch_file(path):
            message = f"{path} is a pickle that torch.save wrote; convert it: {show_conversion(str(path))}"
            raise WeightsError(message) from error
        content = describe_content(path, "damaged, or not a safetensors file")
        raise WeightsError(f"{path} is {content} ({error}); download or save it again") from error
    if not tensors:
        raise WeightsError(f"{path} must contain named tensors; it is empty")
    return tensors


def _read_pickle(path: Path) -> dict[str, Tensor]:
    from zoo.models.weights.nested import find_tensors

    return find_tensors(str(path), read_torch_file(path)).tensors


def _check_digest(path: Path, digest: Digest) -> None:
    if mismatch := digest.find_mismatch(path):
        raise WeightsError(
            f"{path} is damaged or is a different file: {mismatch}; "
            "delete it to download it again, or reinstall the plugin that provides it"
        )


def make_unpinned_error(source: str) -> WeightsError:
    """Return the error for a pickle that no plugin pins by a digest.

    Args:
        source: Path or URL of the pickle.
    """
    is_remote = "://" in source
    name = file_name(source) if is_remote else source
    return WeightsError(
        f"{source} is a pickle, which can run code when it is loaded, and its SHA-256 is not pinned. "
        f"{'Download it and convert' if is_remote else 'Convert'} it to a .safetensors file, and set `weights` to that "
        f"file: {show_conversion(name)}"
    )


def show_conversion(path: str) -> str:
    """Return the command that converts a pickle, for messages."""
    stem = SUFFIX.sub("", path)
    output = f"{stem}.safetensors" if f"{stem}.safetensors" != path else f"{stem}-converted.safetensors"
    return f"zoo convert {shlex.quote(path)} {shlex.quote(output)}"


def read_suffix(name: str) -> str:
    """Return the suffix of a file name in lower case."""
    return Path(name).suffix.lower()
