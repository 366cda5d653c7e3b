"""Model files: safetensors with the upstream parameter names, and a header with everything needed to use the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.errors import PluginError, RunError
from zoo.models.build import Network
from zoo.plugin import InputSpec

#: Version of the header.
FORMAT = "1"


@dataclass(frozen=True)
class Header:
    """Metadata of a model file."""

    backbone: str
    tag: str | None
    head: str
    classes: tuple[str, ...]
    input: InputSpec
    #: Name of the initial weights, and their license; both ``none`` for random weights.
    weights: str
    weights_license: str

    def to_metadata(self) -> dict[str, str]:
        """Return the header as safetensors metadata, in which all values are strings."""
        fields = {name: json.dumps(value) for name, value in dataclasses.asdict(self).items()}
        return {"format": "pt", "zoo_format": FORMAT, **fields}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: Path) -> Header:
        """Parse safetensors metadata.

        Args:
            metadata: As returned by `to_metadata`.
            path: File that the metadata is from, for error messages.

        Raises:
            RunError: If the file was not written by zoo, was written by a newer version, or is damaged.
        """
        if metadata.get("zoo_format") != FORMAT:
            found = metadata.get("zoo_format", "none")
            raise RunError(
                f"{path} has zoo format {found}, but this version reads format {FORMAT}; upgrade zoo, or train again."
            )
        if "weights_licence" in metadata:  # Version 0.1 used this spelling.
            metadata = {"weights_license": metadata["weights_licence"], **metadata}
        try:
            fields: dict[str, Any] = {field.name: json.loads(metadata[field.name]) for field in dataclasses.fields(cls)}
            lists = {name: tuple(value) for name, value in fields["input"].items() if isinstance(value, list)}
            fields["input"] = InputSpec(**{**fields["input"], **lists})
            header = cls(**{**fields, "classes": tuple(fields["classes"])})
        except (KeyError, ValueError, TypeError, AttributeError, PluginError) as error:
            raise RunError(f"{path} has a damaged header: {error}") from error
        texts = (header.backbone, header.head, header.weights, header.weights_license, *header.classes)
        if not all(isinstance(text, str) for text in texts) or not isinstance(header.tag, (str, type(None))):
            raise RunError(f"{path} has a damaged header: a name is not a string.")
        return header


def make_header(network: Network, classes: Sequence[str]) -> Header:
    """Return the header for a network with these classes."""
    weights = network.start
    license = weights.license or ("none" if weights.is_random else "unknown")
    return Header(
        backbone=network.backbone.name,
        tag=weights.tag,
        head=str(network.design),
        classes=tuple(classes),
        input=network.input,
        weights=weights.label,
        weights_license=license,
    )


def save_model(model: nn.Module, header: Header, path: Path) -> None:
    """Write all parameters and buffers, so that the upstream model can load them with ``load_state_dict`` strictly.

    Strict loading requires every name, so tensors that share memory are written separately.
    """
    write_tensors(model.state_dict(), header.to_metadata(), path)


def write_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write a safetensors file whose bytes depend on the arguments alone."""
    save_file(detach_all(tensors), path, metadata=dict(metadata))
    _sort_metadata(path)


def load_tensors(model: nn.Module, path: Path) -> None:
    """Load a file that `save_model` wrote into a model of the same architecture.

    Raises:
        RunError: If the file is missing, damaged, or of another model.
    """
    tensors = read_tensors(path)
    try:
        # The model's own state dict has version numbers in its metadata. safetensors cannot store them, but MNASNet
        # requires them.
        state = model.state_dict()
        if odd := sorted(tensors.keys() ^ state.keys()):
            names = ", ".join(odd[:3])
            raise RunError(f"{path} does not match the installed version of its backbone: {names} differ.")
        state.update(tensors)
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(f"{path} does not match the installed version of its backbone: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a model file.

    Raises:
        RunError: If the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def load_header(path: Path) -> Header:
    """Read the header of a model file.

    Raises:
        RunError: If the file is missing or damaged, or was not written by zoo.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return Header.from_metadata(file.metadata() or {}, path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _sort_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file, which safetensors writes in random order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items())), **header}
        content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
        if len(content) == length:  # Otherwise safetensors used a different JSON format, and the file is unchanged.
            file.seek(8)
            file.write(content)


def detach_all(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as safetensors requires them: on the CPU, contiguous, and without shared memory."""
    seen: set[int] = set()
    tensors = {}
    for name, tensor in state.items():
        detached = tensor.detach().cpu().contiguous()
        memory = detached.untyped_storage().data_ptr()
        tensors[name] = detached.clone() if memory in seen else detached
        seen.add(memory)
    return tensors
