"""Look inside a backbone, the model of a run, or any module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path

import torch
from torch import nn

from zoo.errors import OptionError, RunError
from zoo.files.paths import expand_user
from zoo.files.schema import Run
from zoo.models.blocks import list_blocks, list_stages
from zoo.models.build import build_model
from zoo.models.head import Head, get_head, replace_head
from zoo.models.inspect import Layout, make_inspection, trace_image
from zoo.models.inspected import Inspection
from zoo.models.layout import find_blocks, find_head
from zoo.models.meta_device import build_on_meta
from zoo.models.own.own_network import open_own
from zoo.models.selection import select
from zoo.models.trace import CannotTrace, Trace
from zoo.models.untrained import list_fixed, list_unused
from zoo.models.weights.choose import input_for
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry, open_registry
from zoo.registry.train_scope import TrainScope
from zoo.runs.folder import MODEL, RUN, RunFolder
from zoo.runs.model_file import load_header

#: Channels, height and width of the image for a module.
_SIZE = (3, 224, 224)


@dataclass(frozen=True)
class _Request:
    """What to show; None means the default."""

    scope: TrainScope | None
    depth: int | None
    size: tuple[int, int, int] | None


@dataclass(frozen=True)
class _Found:
    """A backbone or a run, and how to build its network."""

    name: str
    backbone: BackboneSpec
    tag: str | None
    size: tuple[int, int, int]
    #: Function that finds the head of upstream's network, or replaces it with the run's.
    attach: Callable[[nn.Module], Head]
    scope: TrainScope


def inspect(
    subject: str | PathLike[str] | nn.Module,
    *,
    train: str | None = None,
    depth: int | None = None,
    size: tuple[int, int, int] | None = None,
    registry: Registry | None = None,
) -> Inspection:
    """Return the modules of a network, with the shape of each output, the parameters, and what is trained.

    Neither weights nor images are read. The network runs once on the meta device, where tensors have no values.

    Args:
        subject: The name of a backbone, a run folder, any nn.Module, or ``FILE.py:FUNCTION`` that returns one.
        train: What to train, as for `zoo.finetune`. Default: what the run trained; for a backbone, ``head``; for a
            module, the parameters that require gradients.
        depth: Number of levels of the tree below the network. Default: all.
        size: Channels, height and width of the image; a backbone and a run always get their own number of channels.
            Default: the input size of the backbone or the run; for a module, (3, 224, 224).
        registry: Registry in which names are looked up. Default: all installed plugins.

    Raises:
        NameNotFound: If there is no such backbone or block.
        OptionError: If an argument is invalid.
        RunError: If the run cannot be read.
    """
    if depth is not None and depth < 1:
        raise OptionError(f"`depth` must be at least 1, got {depth}.")
    request = _Request(None if train is None else TrainScope.parse(train), depth, size)
    if isinstance(subject, nn.Module):
        return _inspect_module(subject, request)
    if own := open_own(subject):
        with torch.random.fork_rng([]):
            return replace(_inspect_module(own.build(), request), name=own.asked)
    find = _find_run if (expand_user(subject) / MODEL).is_file() else _find_backbone
    return _inspect_found(find(subject, registry or open_registry()), request)


def _find_backbone(subject: str | PathLike[str], registry: Registry) -> _Found:
    resolved = registry.resolve(fspath(subject))
    backbone, tag = resolved.backbone, resolved.tag
    size, scope = input_for(backbone, tag).size, TrainScope.parse(Recipe().train)
    return _Found(resolved.name, backbone, tag, size, partial(get_head, backbone), scope)


def _find_run(subject: str | PathLike[str], registry: Registry) -> _Found:
    folder = RunFolder.open(Path(subject))
    header = load_header(folder.path / MODEL)
    is_finished = (folder.path / RUN).is_file()
    if header.network:
        raise RunError(
            f"{folder.path} was trained with your own network, {header.network.describe()}; inspect the network itself."
        )
    train = folder.read_json(RUN, Run)["recipe"]["train"] if is_finished else Recipe().train
    backbone = registry.resolve(header.backbone).backbone

    def attach(model: nn.Module) -> Head:
        # The header may be damaged, so even a huge head must take no memory.
        design = HeadDesign.parse(header.head)
        return replace_head(backbone, model, len(header.classes), design, torch.device("meta"))

    return _Found(str(folder.path), backbone, header.tag, header.input.size, attach, TrainScope.parse(train))


def _inspect_found(found: _Found, request: _Request) -> Inspection:
    size = (found.size[0], *(request.size or found.size)[1:])
    with torch.random.fork_rng([]):
        model = build_on_meta(found.backbone, found.tag, found.size[0])
        head = found.attach(model)
        traced = trace_image(model, size)
        if isinstance(traced, CannotTrace):  # It may need values.
            model = build_model(found.backbone, found.tag, found.size[0])
            head = found.attach(model)
            traced = trace_image(model, size)
    scope = request.scope or found.scope
    blocks = list_blocks(found.backbone, model, head)
    untrained = list_fixed(model) | list_unused(found.backbone, model)
    selection = select(model, blocks, head, list_stages(scope, blocks)[-1], untrained)
    layout = Layout(blocks, head, selection.trainable, untrained)
    return make_inspection((found.name, str(scope)), model, layout, traced, (size, request.depth))


def _inspect_module(model: nn.Module, request: _Request) -> Inspection:
    size = request.size or _SIZE
    traced = trace_image(model, size)
    layout, train = Layout(), None
    if isinstance(traced, Trace):
        try:
            head = Head((find_head(model, traced),))
            layout = Layout(find_blocks(model, head.paths[0], traced.uses), head)
        except OptionError:
            if request.scope:  # Without a scope, the head is only shown.
                raise
    elif request.scope:
        raise OptionError(f"{type(model).__name__} cannot process an image of {'x'.join(map(str, size))}: {traced}")
    if request.scope and layout.head:
        stage = list_stages(request.scope, layout.blocks)[-1]
        fixed = list_fixed(model)
        trainable = select(model, tuple(layout.blocks), layout.head, stage, fixed).trainable
        layout, train = replace(layout, trainable=trainable, untrained=fixed), str(request.scope)
    return make_inspection((type(model).__name__, train), model, layout, traced, (size, request.depth))
