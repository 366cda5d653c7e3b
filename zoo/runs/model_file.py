"""A model as a safetensors file under upstream's own names, with what is needed to use it in the header."""

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

#: The version of the header.
FORMAT = "1"


@dataclass(frozen=True)
class Header:
    """What the file says of itself; safetensors carries it as text."""

    backbone: str
    tag: str | None
    head: str
    classes: tuple[str, ...]
    input: InputSpec
    #: What the license of the starting weights says, or ``none`` for random ones.
    weights: str
    weights_license: str

    def to_metadata(self) -> dict[str, str]:
        """Turn it into safetensors' text fields."""
        fields = {name: json.dumps(value) for name, value in dataclasses.asdict(self).items()}
        return {"format": "pt", "zoo_format": FORMAT, **fields}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: Path) -> Header:
        """Read it back.

        Raises:
            RunError: the file was not written by zoo, or by a newer one.
        """
        if metadata.get("zoo_format") != FORMAT:
            found = metadata.get("zoo_format", "none")
            raise RunError(f"{path} has zoo format {found}; this zoo reads format {FORMAT}. Upgrade zoo, or rerun.")
        if "weights_licence" in metadata:  # as version 0.1 wrote it
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
            raise RunError(f"{path} has a damaged header: a name in it is no text.")
        return header


def make_header(network: Network, classes: Sequence[str]) -> Header:
    """Describe a network for these classes."""
    start = network.start
    license = start.license or ("none" if start.is_random else "unknown")
    return Header(
        backbone=network.backbone.name,
        tag=start.tag,
        head=str(network.design),
        classes=tuple(classes),
        input=network.input,
        weights=start.label,
        weights_license=license,
    )


def save_model(model: nn.Module, header: Header, path: Path) -> None:
    """Write all parameters and buffers; a plain ``load_state_dict(load_file(path))`` of upstream's model is strict."""
    save_tensors(model.state_dict(), header, path)


def save_tensors(state: Mapping[str, Tensor], header: Header, path: Path) -> None:
    """Write what a ``state_dict`` holds.

    Tensors that share memory are written each on their own: strict loading wants every name.
    """
    write_tensors(state, header.to_metadata(), path)


def write_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write tensors and texts as safetensors; the same ones give the same bytes."""
    save_file(detach_all(tensors), path, metadata=dict(metadata))
    _sort_metadata(path)


def load_tensors(model: nn.Module, path: Path) -> None:
    """Load what `save_model` wrote back into such a model.

    Raises:
        RunError: the file is damaged, or of another model.
    """
    tensors = read_tensors(path)
    try:
        # Over the model's own state, which carries the version marks that safetensors cannot: MNASNet asks for them.
        state = model.state_dict()
        if odd := sorted(tensors.keys() ^ state.keys()):
            raise RunError(f"{path} does not fit its backbone as it is installed: {', '.join(odd[:3])} differ.")
        state.update(tensors)
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(f"{path} does not fit its backbone as it is installed: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what `save_model` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def load_header(path: Path) -> Header:
    """Read the header.

    Raises:
        RunError: the file is missing, damaged, or not of a run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return Header.from_metadata(file.metadata() or {}, path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _sort_metadata(path: Path) -> None:
    """Put the texts of the header in order, in which safetensors leaves them to chance."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items())), **header}
        content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
        if len(content) == length:  # else it was written in another way than is known, and stays as it is
            file.seek(8)
            file.write(content)


def detach_all(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as safetensors takes them: on the CPU, contiguous, none in the memory of another."""
    seen: set[int] = set()
    tensors = {}
    for name, tensor in state.items():
        plain = tensor.detach().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        tensors[name] = plain.clone() if memory in seen else plain
        seen.add(memory)
    return tensors
