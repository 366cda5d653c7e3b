"""What a command trains: looked up, built, examined and described, up to the first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.data.dataset import Images, open_images
from zoo.data.decode import quiet_pillow
from zoo.data.pixel_cache import Views, choose_budget
from zoo.data.source import look_up
from zoo.engine.compile_cache import keeping_artefacts
from zoo.engine.device import Hardware, choose_hardware, place
from zoo.engine.distributed.process_group import get_world
from zoo.engine.distributed.world import World
from zoo.engine.features.tail import fork_generators
from zoo.engine.precision import settle_precision
from zoo.errors import OptionError, TrainingError, is_out_of_memory
from zoo.models.blocks import list_blocks, list_trainable, refuse_unknown_block
from zoo.models.build import Network, attach_head, build_backbone, try_network
from zoo.models.freeze import digest_frozen, list_batch_norms
from zoo.models.sharding import shard
from zoo.models.weights.choose import WeightsSource, choose_weights, input_for
from zoo.plugin import BlockSpec
from zoo.progress import Progress
from zoo.registry.license import describe_license
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry, Resolved
from zoo.runs.record import describe_blocks, list_facts
from zoo.training.phases import Plan, freeze, plan_phases


@dataclass(frozen=True)
class Job:
    """What was asked for, found."""

    resolved: Resolved
    start: WeightsSource
    data: str | Path
    recipe: Recipe
    hardware: Hardware
    registry: Registry
    progress: Progress


def resolve_job(backbone: str, data: str | Path, recipe: Recipe, registry: Registry, progress: Progress) -> Job:
    """Look up all that was asked for, before anything is built or read; and say what was chosen.

    Raises:
        ZooError: something does not exist or does not fit.
    """
    look_up(data, registry=registry)
    world = get_world()
    hardware = choose_hardware(recipe.device, recipe.precision, world)
    if world.size > 1 and recipe.batch_size < 2 * world.size:
        raise OptionError(
            f"batches of {recipe.batch_size} cannot be shared by {world.size} processes; "
            f"take a `batch_size` of at least {2 * world.size}, or fewer processes."
        )
    if world.size == 1 and (recipe.shard or recipe.sync_batch_norm):
        progress.say("note: with one process there is nothing to shard, and batch norms see all images as it is")
    resolved = registry.resolve(backbone)
    refuse_unknown_block(resolved.backbone, recipe.scope)
    start = choose_weights(resolved, recipe.weights)
    _say_choice(resolved, start, progress)
    return Job(resolved, start, data, recipe, hardware, registry, progress)


@contextmanager
def surroundings(job: Job) -> Iterator[None]:
    """Enter what every job runs in: its seed, quiet libraries, and one line where memory is short."""
    recording = keeping_artefacts() if job.recipe.compile else nullcontext()
    with _seeded(job.recipe.seed, job.hardware.device), _enough_memory(), quiet_pillow(), recording:
        yield


def prepare(job: Job, precision: str | None = None) -> tuple[Plan, dict[str, Any]]:
    """Build the network and examine the images; returns what is to be trained, and what run.json says of it.

    Args:
        job: what is asked for.
        precision: to compute in, if it is known; else it is as the recipe says.

    Raises:
        ZooError: something does not fit.
    """
    recipe, backbone, start, progress = job.recipe, job.resolved.backbone, job.start, job.progress
    model = build_backbone(backbone, start, progress)
    budget = choose_budget(job.hardware.world.local_size)
    views = Views.build(input_for(backbone, start.tag), recipe.augmentation, budget, recipe.erase)
    images = open_images(job.data, registry=job.registry, seed=recipe.seed, progress=progress, keep=views)
    network = attach_head(backbone, start, model, recipe.head, len(images.classes))
    blocks = list_blocks(backbone, network.model, network.head)
    phases = plan_phases(recipe, blocks)
    _make_same(network.model, images, job.hardware.world)
    if recipe.shard and job.hardware.world.size > 1:
        _divide(network, blocks, phases[0], images, job.hardware)
    else:
        place(network.model, job.hardware)
    try_network(network, len(images.classes), job.hardware.device)
    parts = _describe_parts(network, blocks, phases, progress)
    hardware = replace(job.hardware, precision=precision) if precision else job.hardware
    if precision is None:
        hardware = settle_precision(recipe.precision, backbone, hardware)
        hardware = replace(hardware, precision=hardware.world.spread(hardware.precision))
    facts = {**list_facts(network, recipe, hardware, images), **parts, "plugin": job.registry.find_origin(backbone)}
    frozen = tuple(phase["frozen"] for phase in parts["phases"])
    return Plan(network, blocks, phases, frozen, images, views, hardware), facts


def _divide(
    network: Network, blocks: tuple[BlockSpec, ...], recipe: Recipe, images: Images, hardware: Hardware
) -> None:
    """Divide the network between the processes, all of which must have images at all times."""
    size = hardware.world.size
    for split, least in (("train", 2), ("val", 1), ("test", 1)):
        count = len(getattr(images, split))
        if count < least * size and (count or split != "test"):
            raise OptionError(f"shard: {count} {split} images are too few for {size} processes; take fewer of these.")
    freeze(network, blocks, recipe)
    shard(network.model, blocks, hardware.device, size)


def _make_same(model: nn.Module, images: Images, world: World) -> None:
    """See to it that all processes begin with the same images and the same weights."""
    if world.size > 1:
        world.require_same("images", images.fingerprint)
        world.spread_([*model.parameters(), *model.buffers()])


def _describe_parts(
    network: Network, blocks: tuple[BlockSpec, ...], phases: Sequence[Recipe], progress: Progress
) -> dict[str, Any]:
    """Return what run.json says of the blocks, the phases and the parameters that stay frozen."""
    first, last = phases[0], phases[-1]
    if last.batch_size == 1 and list_batch_norms(network.model):
        progress.say("note: with one image in a batch, batch norms keep the statistics that they have")
    if network.start.is_random and last.scope.is_head_only:
        progress.say("note: random weights are frozen here; with train all they would be trained")
    trainable = list_trainable(blocks, network.head, last.scope)
    before = digest_frozen(network.model, trainable)
    # A resumed run must begin with the same tensors, those too that only a later phase trains.
    begun = before if first is last else digest_frozen(network.model, list_trainable(blocks, network.head, first.scope))
    digests = [begun, *[None] * (len(phases) - 2), before][-len(phases) :]
    return {
        **describe_blocks(network.model, blocks, trainable),
        "phases": [
            {"train": phase.train, "epochs": phase.epochs, "lr": phase.learning_rate, "frozen": digest}
            for phase, digest in zip(phases, digests, strict=True)
        ],
        "frozen": {"before": before},
    }


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Turn torch's ways to say that memory is short into one line."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError("not enough memory; take a smaller `batch_size`, `head` or backbone.") from error


def _say_choice(resolved: Resolved, start: WeightsSource, progress: Progress) -> None:
    name = resolved.backbone.name
    progress.say(f"{resolved.asked} -> {name}@{start.label}")
    for note in resolved.notes:
        progress.say(f"note: {note}")
    warning = describe_license(f"{name}@{start.label}", start.license) if start.license else None
    if warning:
        progress.say(warning)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw new heads, dropouts and random weights from the seed, and leave the caller's own generator as it was."""
    with fork_generators(device):
        torch.manual_seed(seed)
        yield
