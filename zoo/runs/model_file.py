"""Model files: safetensors with the upstream parameter names, and a header with everything needed to use the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.errors import RunError
from zoo.files.validation import Invalid
from zoo.models.build import Network
from zoo.models.weights.header import Header, find_header
from zoo.models.weights.misfits import find_unusable, list_misshapen
from zoo.models.weights.shorten import shorten
from zoo.registry.origin import Origin
from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.runs.public_facts import hide_folders


def make_header(network: Network, classes: Sequence[str]) -> Header:
    """Return the header for a network with these classes."""
    weights = network.initial_weights
    license = weights.license or ("none" if weights.is_random else "unknown")
    return Header(
        backbone=network.backbone.name,
        tag=weights.tag,
        head=str(network.design),
        classes=tuple(classes),
        input=network.input,
        weights=weights.label,
        weights_license=license,
        network=network.origin and _describe_origin(network.origin),
    )


def _describe_origin(origin: Origin) -> Origin:
    # The model is for others, and the folders of this machine are not.
    return replace(origin, blocks={}, file=origin.file and hide_folders(origin.file))


def save_model(model: nn.Module, header: Header, path: Path) -> None:
    """Write all parameters and buffers, so that the upstream model can load them with a strict ``load_state_dict``.

    Strict loading requires every name, so tensors that share memory are written separately.
    """
    write_tensors(model.state_dict(), header.to_metadata(), path)


def write_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write a safetensors file whose bytes depend only on the arguments."""
    save_file(detach_all(tensors), path, metadata=dict(metadata))
    _sort_metadata(path)


def load_tensors(model: nn.Module, path: Path, owner: str = "the installed version of its backbone") -> None:
    """Load a file that `save_model` wrote into a model of the same architecture.

    Layers on the meta device are allocated on the CPU, once it is known that their shapes match those in the file.

    Args:
        model: The model, which is changed in place.
        path: The file.
        owner: Where the model comes from, for errors.

    Raises:
        RunError: If the file is missing or damaged, or belongs to a different model.
    """
    tensors = read_tensors(path)
    mismatch = f"{path} does not match {owner}:"
    # The model's own state dict has version numbers in its metadata. safetensors cannot store them, but MNASNet
    # requires them.
    state = model.state_dict()
    if odd := sorted(tensors.keys() ^ state.keys()):
        raise RunError(f"{mismatch} {shorten(odd)} differ.")
    if odd := list_misshapen(state, tensors):
        raise RunError(f"{mismatch} {shorten(odd)}.")
    _allocate(model)
    state = model.state_dict()
    for fault, names in find_unusable(tensors, state).items():
        if names:
            raise RunError(f"{path} is damaged: it {fault} {shorten(names)}.")
    state.update(tensors)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # A module may refuse tensors in its own way.
        raise RunError(f"{mismatch} {describe_in_one_line(error)}") from error


def _allocate(model: nn.Module) -> None:
    """Replace parameters and buffers on the meta device with zeros on the CPU.

    ``to_empty`` would import SymPy for the first tensor, which takes a fifth as long as importing torch.
    """
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if parameter.is_meta:
                setattr(module, name, nn.Parameter(_make_zeros(parameter), parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            if buffer.is_meta:
                setattr(module, name, _make_zeros(buffer))


def _make_zeros(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")


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
        header = find_header(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    except Invalid as error:
        raise RunError(f"{path} {error}.") from error
    if header is None:
        raise RunError(f"{path} was not written by zoo; pass a run folder, or the {path.name} in one.")
    return header


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
