"""Facts about an architecture, read from transformers by building the model on the meta device.

The catalog contains these facts. For a checkpoint on the Hub, or if another version of transformers is installed, they
are read when they are needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from zoo_transformers.architecture import NUM_CLASSES
from zoo_transformers.blocks import read_blocks
from zoo_transformers.building import Upstream
from zoo_transformers.facts import Facts
from zoo_transformers.heads import find_heads
from zoo_transformers.prefixes import covers, shortest_prefixes
from zoo_transformers.processors import make_processor, read_input
from zoo_transformers.quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from zoo.plugin import InputSpec
    from zoo_transformers.architecture import Architecture, Sizes

#: Heights and widths that may be the smallest one, in pixels.
SMALLEST = (64, 96, 128, 192)


def read_facts(given: Architecture, like: Facts | None = None) -> Facts:
    """Read all facts about an architecture of the installed transformers.

    Args:
        given: The architecture.
        like: Facts about the same class with other numbers. What does not depend on them is not read again.

    Raises:
        ValueError: If zoo cannot prepare images for it, or if it does not accept such images.
    """
    expected = read_input(make_processor(given))
    if like is not None and list_switches(like.architecture) == list_switches(given):
        known = replace(like, architecture=replace(given, sizes=like.architecture.sizes))
        known = replace(known, input=replace(expected, min_size=_scale_smallest(like, expected)))
    else:
        known = _read_class(given, expected)
    if not known.reads_values:
        return _read_network(known, "meta")
    with (
        FakeTensorMode()
    ):  # Unlike tensors on the meta device, transformers knows them, and does not read their values.
        return _read_network(known, "cpu")


def _read_class(given: Architecture, expected: InputSpec) -> Facts:
    """Read what depends on the class: its head, its output, and the image sizes that it accepts."""
    known = Facts(given, "", 0, _read_heads(given), (), expected, "")
    if accepts(given, expected.size, "meta"):
        return _read_sizes(known, "meta")
    with FakeTensorMode():
        if not accepts(given, expected.size, "cpu"):
            raise ValueError(f"{given.model} does not accept its own images of {expected.size[1]} pixels")
        return replace(_read_sizes(known, "cpu"), reads_values=True)


def _read_sizes(known: Facts, device: str) -> Facts:
    size = known.input.size
    architecture = replace(known.architecture, sizes=find_sizes(known.architecture, size, device))
    model = build_on(device, architecture)
    output = find_output(model, size)
    return replace(
        known,
        architecture=architecture,
        family=model.config.model_type,
        input=replace(known.input, min_size=_find_smallest(architecture, size[1], device)),
        output=output,
        unused=find_unused(model, output, size),
    )


def list_switches(architecture: Architecture) -> dict[str, Any]:
    """List the values of a configuration that switch parts of the network on and off."""
    values = {name: value for name, value in architecture.values.items() if isinstance(value, (bool, str))}
    return {"model": architecture.model, **values}


def _read_network(known: Facts, device: str) -> Facts:
    """Add the facts about this network."""
    model = build_on(device, known.architecture)
    return replace(
        known,
        params=sum(parameter.numel() for parameter in model.parameters()),
        blocks=known.blocks if fits(model, known) else read_blocks(model, known.head, known.input.size),
    )


def fits(model: nn.Module, known: Facts) -> bool:
    """Return whether each parameter is in exactly one of the known blocks or heads, and each prefix has a parameter."""
    prefixes = [*known.head, *(prefix for block in known.blocks for prefix in block.prefixes)]
    found = [[prefix for prefix in prefixes if covers(prefix, name)] for name, _ in model.named_parameters()]
    return all(len(each) == 1 for each in found) and {each[0] for each in found} == {*prefixes}


def _scale_smallest(like: Facts, expected: InputSpec) -> int | None:
    """Return the smallest size of the same class, or the full size if it accepts no smaller one."""
    return expected.size[1] if like.input.min_size == like.input.size[1] else like.input.min_size


def _read_heads(architecture: Architecture) -> tuple[str, ...]:
    import transformers

    return find_heads(getattr(transformers, architecture.model), Upstream(architecture).make_config(NUM_CLASSES))


def accepts(architecture: Architecture, size: tuple[int, int, int], device: str) -> bool:
    """Return whether a model accepts images, with or without interpolation."""
    choices: tuple[Sizes, ...] = ("any", "interpolated")
    return any(try_size(build_on(device, replace(architecture, sizes=sizes)), size) is None for sizes in choices)


def build_on(device: str, architecture: Architecture) -> Any:
    """Build a model on a device."""
    with torch.device(device):
        return Upstream(architecture).build(None)


def find_sizes(architecture: Architecture, size: tuple[int, int, int], device: str) -> Sizes:
    """Find out whether a model accepts larger and non-square images, and whether it must be told to interpolate."""
    channels, height, width = size
    others = (size, (channels, height + 32, width + 32), (channels, height, width + 64))
    choices: tuple[Sizes, ...] = ("any", "interpolated")
    for sizes in choices:
        model = build_on(device, replace(architecture, sizes=sizes))
        if all(try_size(model, other) is None for other in others):
            return sizes
    return "fixed"


@torch.no_grad()
def try_size(model: nn.Module, size: tuple[int, int, int], *, trains: bool = False) -> str | None:
    """Run a model on two images, and return the reason if it fails."""
    try:
        with quiet_transformers():
            model.train(trains)(make_images(model, size))
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def make_images(model: nn.Module, size: tuple[int, int, int]) -> Tensor:
    """Return two images on the device of a model."""
    return torch.zeros(2, *size, device=next(model.parameters()).device)


def _find_smallest(architecture: Architecture, side: int, device: str) -> int:
    """Find the smallest images after which the model still accepts its own size. Swin adapts its windows to images."""
    for smallest in () if architecture.sizes == "fixed" else SMALLEST:
        model, images = build_on(device, architecture), ((3, smallest, smallest), (3, side, side))
        if smallest < side and all(try_size(model, size, trains=t) is None for size in images for t in (False, True)):
            return smallest
    return side


def find_output(model: nn.Module, size: tuple[int, int, int]) -> str:
    """Find the field of the output that holds the logits.

    Raises:
        ValueError: If no field has the shape of logits.
    """
    with torch.no_grad(), quiet_transformers():
        output: Mapping[str, Any] = model.eval()(make_images(model, size))
    for field, value in output.items():
        if isinstance(value, torch.Tensor) and value.shape == (2, NUM_CLASSES):
            return str(field)
    raise ValueError(f"{type(model).__name__} returns no logits, but {', '.join(output)}")


def find_unused(model: nn.Module, field: str, size: tuple[int, int, int]) -> tuple[str, ...]:
    """Find the parameters that get no gradient, such as mask tokens, by a backward pass."""
    with quiet_transformers():
        model.train()(make_images(model, size))[field].sum().backward()
    owners = {name: int(parameter.grad is not None) for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return shortest_prefixes(owners).get(0, ())
