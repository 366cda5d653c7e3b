"""A request to train, with every name resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from torch import nn

from zoo.data.source import look_up
from zoo.engine.device import Hardware, choose_hardware
from zoo.engine.distributed.process_group import get_world
from zoo.engine.precision import choose_precision
from zoo.errors import OptionError
from zoo.models.blocks import refuse_unknown_block
from zoo.models.channels import refuse_channels
from zoo.models.own.own_network import Blocks, OwnNetwork, declare, open_own
from zoo.models.own.resolve import resolve_own
from zoo.models.weights.choose import WeightsSource, choose_input, choose_weights
from zoo.progress import Progress
from zoo.registry.license import describe_license
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.registry.resolved import Resolved


@dataclass(frozen=True)
class Job:
    """A request to train, with every name resolved and nothing built yet."""

    resolved: Resolved
    weights: WeightsSource
    data: Any
    recipe: Recipe
    hardware: Hardware
    registry: Registry
    progress: Progress


def open_network(
    backbone: str | PathLike[str] | nn.Module | OwnNetwork, blocks: Blocks | None, options: Mapping[str, Any]
) -> tuple[str | OwnNetwork, dict[str, Any]]:
    """Return the backbone's name or the user's own network, and the options without the path of the head.

    Raises:
        OptionError: If ``backbone`` is something else, if the file of the network cannot be read, or if ``blocks`` is
            set for a backbone.
    """
    if isinstance(backbone, OwnNetwork):  # A fold of a cross-validation.
        return backbone, dict(options)
    if not isinstance(backbone, (str, PathLike, nn.Module)):
        raise OptionError(
            f"`backbone` must be the name of a backbone, FILE.py:FUNCTION or a torch.nn.Module, got {backbone!r}."
        )
    own = open_own(backbone)
    if own is not None:
        return declare(own, options, blocks)
    if blocks is not None:
        raise OptionError(f"`blocks` is for your own network; the plugin of {backbone} declares its blocks.")
    return str(backbone), dict(options)


def resolve_job(backbone: str | OwnNetwork, data: Any, recipe: Recipe, registry: Registry, progress: Progress) -> Job:
    """Resolve all names before anything is built or read, and report what was chosen.

    Raises:
        ZooError: If a name does not exist, or an option is invalid.
    """
    if isinstance(data, (str, PathLike)):
        look_up(data, registry=registry)
    world = get_world()
    hardware = choose_hardware(recipe.device, recipe.precision, world)
    if world.size > 1 and recipe.batch_size < 2 * world.size:
        raise OptionError(
            f"{world.size} processes cannot share batches of {recipe.batch_size} images; "
            f"use a `batch_size` of at least {2 * world.size}, or fewer processes."
        )
    if world.size == 1 and (recipe.shard or recipe.sync_batch_norm):
        progress.say("note: `shard` and `sync_batch_norm` have no effect with a single process")
    resolved = resolve_own(backbone, recipe) if isinstance(backbone, OwnNetwork) else registry.resolve(backbone)
    if resolved.origin:
        facts = {**resolved.origin.to_json(), "file": None, "params": resolved.backbone.params}
        world.require_same("network", str(facts))
    refuse_unknown_block(resolved.backbone, recipe.scope)
    weights = choose_weights(resolved, recipe.weights, progress)
    refuse_channels(resolved.backbone, choose_input(resolved.backbone, weights).size[0], recipe.channels)
    _report_choice(resolved, weights, progress)
    hardware = choose_precision(recipe.precision, resolved.backbone, hardware)
    hardware = replace(hardware, precision=world.broadcast(hardware.precision))
    return Job(resolved, weights, data, recipe, hardware, registry, progress)


def _report_choice(resolved: Resolved, weights: WeightsSource, progress: Progress) -> None:
    chosen = f"{resolved.backbone.name}@{weights.label}"
    progress.say(f"{resolved.asked} -> {resolved.backbone.name if weights.is_own else chosen}")
    for note in resolved.notes:
        progress.say(f"note: {note}")
    warning = describe_license(chosen, weights.license) if weights.license else None
    if warning:
        progress.say(warning)
