"""Read a file that torch.save wrote, without running code from it."""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.errors import WeightsError, is_out_of_memory
from zoo.models.weights.harmless import HARMLESS

#: First bytes of files that are often mistaken for weights files, and what these files are.
IMPOSTORS = {
    b"<": "a web page",
    b"version https://git-lfs": "a Git LFS pointer to the file, not the file",
}
#: First bytes of a zip archive.
ZIP = b"PK\x03\x04"
#: First bytes of files in the legacy format of torch.save, a pickle of protocol 2 to 5. No safetensors file begins like
#: this, because its header would be too long.
LEGACY = (b"\x80\x02\x8a\x0a", b"\x80\x03\x8a\x0a", b"\x80\x04\x95", b"\x80\x05\x95")
#: Description of any other file that torch cannot load.
UNKNOWN = "damaged, or not a file that torch.save wrote"
#: Patterns of torch messages that name what torch refuses.
REFUSED = re.compile(r"(?:GLOBAL|but got|function) (?:<\w+ ')?([\w.]+)")


def read_torch_file(path: Path) -> Any:
    """Read a file that torch.save wrote, in any of its formats except the oldest.

    Returns:
        What was saved: usually a dict. Tensors are on the CPU, and memory-mapped if the format allows it. Common
        objects that are not needed, such as dates, are omitted as described in `zoo.models.weights.harmless`.

    Raises:
        OSError: If the file cannot be read.
        WeightsError: If the file is damaged, has a different format, or contains anything but tensors, numbers,
            strings, lists, dicts, argparse.Namespace objects and objects that can be omitted. No code from such a file
            is run.
    """
    import torch

    if reason := _find_other_format(path):
        raise WeightsError(f"{path} is {reason}")
    # Only zip archives, the format since torch 1.6, can be memory-mapped. torch.load reads a path with this suffix as
    # safetensors, whatever the file contains.
    is_mapped = _begins_with(path, ZIP) and path.suffix != ".safetensors"
    try:
        with path.open("rb") as file, warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS):
            warnings.simplefilter("ignore")  # about pickle protocols, which the errors below cover
            return torch.load(path if is_mapped else file, map_location="cpu", weights_only=True, mmap=is_mapped)
    except OSError:
        raise
    except Exception as error:  # A damaged file can raise any exception in the unpickler.
        if is_out_of_memory(error):
            raise WeightsError(f"{path} is damaged, or does not fit into memory") from error
        raise WeightsError(f"{path} {_describe_refusal(error)}") from error


def is_torch_file(path: Path) -> bool:
    """Return whether the file begins like a file that torch.save wrote."""
    return _begins_with(path, (ZIP, *LEGACY))


def _begins_with(path: Path, beginning: bytes | tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(beginning)


def describe_content(path: Path, otherwise: str) -> str:
    """Return what an unreadable file is, as far as its first bytes show."""
    with path.open("rb") as file:
        beginning = file.read(64).lstrip()
    known = (description for prefix, description in IMPOSTORS.items() if beginning.startswith(prefix))
    return next(known, otherwise if beginning else "empty")


def _find_other_format(path: Path) -> str | None:
    """Return the format of a file that torch.save did not write, or None if torch.save may have written it."""
    if _begins_with(path, ZIP):
        return _find_other_archive(path)
    if tarfile.is_tarfile(path):
        return "a tar archive, not a file that torch.save wrote; unpack it first, or save it with a newer torch"
    if not is_torch_file(path):
        return f"{describe_content(path, UNKNOWN)}; download or save it again"
    return None


def _find_other_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "damaged; download or save it again"
    if "constants.pkl" in names:
        return "a TorchScript archive, which contains code; save the state_dict() of its model, and convert that file"
    return None if "data.pkl" in names else "a zip archive, not a file that torch.save wrote; unpack it first"


def _describe_refusal(error: Exception) -> str:
    """Return why torch.load failed, without its advice to load the file with weights_only=False."""
    refused = REFUSED.search(str(error))
    if "Unsupported operand" in str(error):
        return (
            "is damaged, or was saved with a pickle_protocol above 3, which torch cannot load safely; "
            "save it with the default protocol"
        )
    if refused is None:
        return f"is {UNKNOWN}; download or save it again"
    return (
        f"contains more than tensors: it needs {refused[1]}, and zoo loads only tensors, because anything else could "
        "run code; save only the tensors, such as model.state_dict(), in the program that wrote the file"
    )
