"""The user's own network: a module, or a function in a file, turned into a backbone on the fly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import torch
from torch import nn

from zoo.errors import OptionError
from zoo.models.containers import get_module
from zoo.models.head import Head, replace_head
from zoo.models.own.network_file import NetworkFile
from zoo.plugin import BackboneSpec, BlockSpec, InputSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.origin import Origin

#: Namespace of networks that no plugin provides.
NAMESPACE = "own"

#: Blocks from input to output: paths, paths by the name of the block, or both in a string.
Blocks = str | Sequence[str] | Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class OwnNetwork:
    """The user's own network, and what the user declares about it."""

    #: What the user passed, for messages.
    asked: str
    #: Name of the function or class.
    name: str
    build: Callable[[], nn.Module]
    file: NetworkFile | None = None
    #: Path of the head; None means the last linear or convolutional layer.
    head: str | None = None
    #: Blocks from input to output; None means the children of the network.
    blocks: Mapping[str, tuple[str, ...]] | None = None


def open_own(network: str | PathLike[str] | nn.Module) -> OwnNetwork | None:
    """Return the user's own network, which is a module or ``FILE.py:FUNCTION``; None for the name of a backbone.

    The file is not run, and the module is not changed.

    Raises:
        OptionError: If the file cannot be read.
    """
    if isinstance(network, nn.Module):
        return OwnNetwork(type(network).__name__, type(network).__name__, partial(copy.deepcopy, network))
    file = NetworkFile.find(network)
    return None if file is None else OwnNetwork(f"{file.file}:{file.function}", file.function, file.build, file)


def rebuild_own(
    own: OwnNetwork, origin: Origin, num_classes: int, design: HeadDesign
) -> tuple[BackboneSpec, nn.Module, Head]:
    """Build the network of a run again, with a head on the meta device, whose weights are read next.

    Raises:
        OptionError: If the network has no such head.
        PluginError: If the network cannot be built.
    """
    model = own.build()
    require_layer(own, model, origin.head)
    spec = make_spec(own, model, origin.head, (), InputSpec())
    return spec, model, replace_head(spec, model, num_classes, design, torch.device("meta"))


def declare(own: OwnNetwork, options: Mapping[str, Any], blocks: Blocks | None) -> tuple[OwnNetwork, dict[str, Any]]:
    """Return the network with what the user declares about it, and the options without the path of the head.

    The option ``head`` is the path of the last layer, ``linear`` or ``mlp:W,W``, or both as ``PATH=DESIGN``.
    """
    options, path = dict(options), None
    if isinstance(head := options.get("head"), str):
        path, _, design = head.rpartition("=")
        if not path and design != "linear" and not design.startswith("mlp:"):
            path, design = design, "linear"
        options["head"] = design
    parsed = None if blocks is None else parse_blocks(blocks)
    return replace(own, head=path or None, blocks=parsed), options


def parse_blocks(blocks: Blocks) -> dict[str, tuple[str, ...]]:
    """Parse ``stem=conv1+bn1,layer1``, a list of paths, or a dictionary of paths by the name of the block.

    Raises:
        OptionError: If it is none of these, or if a name is used twice.
    """
    if isinstance(blocks, Mapping):
        pairs = [(name, (paths,) if isinstance(paths, str) else tuple(paths)) for name, paths in blocks.items()]
    else:
        items = blocks.split(",") if isinstance(blocks, str) else list(blocks)
        named = [(item.partition("=")[0], item.partition("=")[2] or item) for item in items]
        pairs = [(name, tuple(paths.split("+"))) for name, paths in named]
    names = [name for name, _ in pairs]
    if not pairs or not all(name and paths and all(paths) for name, paths in pairs) or len({*names}) < len(names):
        raise OptionError(
            f"invalid `blocks` {blocks!r}; list the blocks from input to output by their paths, each with its own "
            "name, such as stem=conv1+bn1,layer1,layer2."
        )
    return dict(pairs)


def require_layer(own: OwnNetwork, model: nn.Module, path: str) -> nn.Module:
    """Return the layer at the path of a head.

    Raises:
        NameNotFound: If there is no such module.
        OptionError: If it is not a linear or convolutional layer.
    """
    layer = get_module(model, path)
    if not isinstance(layer, (nn.Linear, nn.Conv2d)):
        raise OptionError(f"the head {path!r} of {own.asked} is a {type(layer).__name__}, not a Linear or Conv2d.")
    return layer


def make_spec(
    own: OwnNetwork, model: nn.Module, head: str, blocks: tuple[BlockSpec, ...], expected: InputSpec
) -> BackboneSpec:
    """Return the spec of a network, whose build returns copies of the network."""
    layer = model.get_submodule(head)
    return BackboneSpec(
        name=f"{NAMESPACE}/{own.name.strip('_') or 'network'}",
        family=type(model).__name__,
        build=lambda _tag: copy.deepcopy(model),
        head=(head,),
        blocks=blocks or (lambda _model: blocks),
        params=sum(parameter.numel() for parameter in model.parameters()),
        num_classes=len(layer.get_parameter("weight")),
        license="unknown",
        input=expected,
    )
