"""Find the head and the blocks of the user's own network, and prove them with forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from zoo.errors import OptionError
from zoo.models.blocks import list_blocks
from zoo.models.containers import get_module
from zoo.models.head import get_head, is_below_any, replace_head
from zoo.models.layout import exclude_head, find_blocks, find_head
from zoo.models.output_field import describe_output, list_tensor_fields
from zoo.models.own.own_network import OwnNetwork, make_spec, require_layer
from zoo.models.trace import CannotTrace, Trace, trace
from zoo.plugin import BackboneSpec, BlockSpec, InputSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.origin import Origin
from zoo.registry.recipe import Recipe
from zoo.registry.resolved import Resolved

#: Numbers of classes with which the head is proved. The network's own number of classes is at most one of them.
_PROBES = (3, 5)


def resolve_own(own: OwnNetwork, recipe: Recipe) -> Resolved:
    """Build the network, find its head and its blocks, and prove them with forward passes.

    Raises:
        NameNotFound: If the head or a block does not exist.
        OptionError: If the network cannot process an image, or if its head and blocks are not what they should be.
        PluginError: If the network cannot be built, or if a parameter is not in exactly one block or the head.
    """
    _refuse_unsupported(recipe)
    expected = recipe.preprocessing.apply(InputSpec())
    with torch.random.fork_rng([]):
        torch.manual_seed(recipe.seed)
        model = own.build()
        traced = _trace(own, model, expected.size)
        _refuse_fields(own, traced.output)
        head = _choose_head(own, model, traced)
        blocks = _choose_blocks(own, model, head, traced)
        spec = make_spec(own, model, head, blocks, expected)
        list_blocks(spec, model, get_head(spec, model))
        _prove_head(own, spec, model, head)
    origin = Origin(type(model).__name__, head, blocks={block.name: block.prefixes for block in blocks})
    if own.file:
        origin = replace(origin, file=own.file.file, function=own.file.function, sha256=own.file.sha256)
    return Resolved(own.asked, spec, None, tuple(_list_notes(recipe, model, origin, traced)), origin)


def _refuse_unsupported(recipe: Recipe) -> None:
    if recipe.weights == "none":
        raise OptionError("zoo cannot initialize your own network, so `weights` cannot be none; omit `weights`.")
    if recipe.baseline != "none":
        raise OptionError("`baseline` needs a backbone of a plugin, because zoo cannot initialize your own network.")
    if recipe.shard:
        raise OptionError("`shard` needs a backbone of a plugin; train your own network without it.")


def _trace(own: OwnNetwork, model: nn.Module, size: tuple[int, int, int]) -> Trace:
    try:
        return trace(model, torch.zeros(2, *size))
    except CannotTrace as error:
        raise OptionError(
            f"{own.asked} cannot process images of {'x'.join(map(str, size))}: {error}; set `image_size` to the height "
            "and width that it expects, and `channels` to the number of channels."
        ) from error


def _refuse_fields(own: OwnNetwork, output: object) -> None:
    """Require that the network returns logits, not an object that contains them.

    Raises:
        OptionError: If it returns an object. The message shows the hook that makes it return one of the fields.
    """
    if fields := list_tensor_fields(output):
        field = "logits" if "logits" in fields else min(fields)
        chosen = f'output["{field}"]' if isinstance(output, Mapping) else f"output.{field}"
        raise OptionError(
            f"{own.asked} returns {describe_output(output)}, not logits; choose one of them with a hook before you "
            f"pass the network: `network.register_forward_hook(lambda module, images, output: {chosen})`."
        )


def _choose_head(own: OwnNetwork, model: nn.Module, traced: Trace) -> str:
    if own.head is None:
        return find_head(model, traced)
    layer = require_layer(own, model, own.head)
    if not traced.calls.get(layer):
        raise OptionError(f"the forward pass of {own.asked} never calls {own.head}; set `head` to another layer.")
    return own.head


def _choose_blocks(own: OwnNetwork, model: nn.Module, head: str, traced: Trace) -> tuple[BlockSpec, ...]:
    """Return the blocks without the head, and require that they are in the order of use."""
    if own.blocks is None:
        return find_blocks(model, head, traced.uses)
    tensors = [*dict(model.named_parameters()), *dict(model.named_buffers())]
    found = []
    for name, paths in own.blocks.items():
        for path in paths:
            if path not in tensors:
                get_module(model, path)
        prefixes = tuple(prefix for path in paths for prefix in exclude_head(model, path, head))
        if prefixes:
            found.append(BlockSpec(name, prefixes))
    places = {
        block.name: [place for name, place in traced.uses.items() if is_below_any(name, block.prefixes)]
        for block in found
    }
    first = {name: min(used) for name, used in places.items() if used}  # An unused block may be anywhere.
    ordered = sorted(first, key=lambda name: first[name])
    if ordered != [*first]:
        raise OptionError(
            f"`blocks` must be in the order in which the forward pass of {own.asked} uses them: {', '.join(ordered)}."
        )
    return tuple(found)


def _prove_head(own: OwnNetwork, spec: BackboneSpec, model: nn.Module, head: str) -> None:
    """Require that the head alone decides how many logits the network returns; the network is unchanged afterward."""
    layer = model.get_submodule(head)
    try:
        for count in _PROBES:
            replace_head(spec, model, count, HeadDesign())
            output = _trace(own, model, spec.input.size).output
            if not (isinstance(output, Tensor) and output.shape == (2, count)):
                found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise OptionError(
                    f"{head} is not the head of {own.asked}: with {count} outputs, the network returns {found} for 2 "
                    f"images instead of (2, {count}); set `head` to the path of the layer that outputs the logits."
                )
    finally:
        model.set_submodule(head, layer, strict=True)


def _list_notes(recipe: Recipe, model: nn.Module, origin: Origin, traced: Trace) -> Iterator[str]:
    yield f"the head is {origin.head}; the blocks are {', '.join(origin.blocks) or 'none'}"
    if recipe.mean is None or recipe.std is None:
        yield "images are normalized with ImageNet's statistics; use `mean` and `std` if the network expects others"
    unused = [name for name, _ in model.named_parameters() if name not in traced.uses]
    if unused:
        listed = ", ".join(unused[:3]) + (", ..." if len(unused) > 3 else "")
        yield f"the forward pass does not use {len(unused)} of the parameters ({listed})"
    if recipe.weights is None and recipe.scope.is_head_only:
        yield "everything but the head keeps the weights that the network has; if these are random, use `train` all"
