"""Everything before the first step: resolve names, build the network, read the images and plan the phases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import torch
from torch import nn

from zoo.data.dataset import Images, open_images
from zoo.data.decode import quiet_pillow
from zoo.data.pixel_cache import Views, choose_budget
from zoo.data.sample import are_weighted
from zoo.engine.allocator import keeping_freed_memory
from zoo.engine.compile_cache import keeping_artifacts
from zoo.engine.device import Hardware, place
from zoo.engine.distributed.world import World
from zoo.engine.features.tail import fork_generators
from zoo.engine.phase import Phase
from zoo.errors import OptionError, TrainingError, is_out_of_memory
from zoo.models.blocks import list_blocks
from zoo.models.build import Network, attach_head, build_backbone, try_network
from zoo.models.freeze import Frozen, digest_frozen, list_batch_norms
from zoo.models.head import is_below_any
from zoo.models.selection import Selection, select
from zoo.models.sharding import shard
from zoo.models.untrained import describe_parameters
from zoo.models.weights.carry_over import carry_over_head
from zoo.models.weights.choose import choose_input, input_for
from zoo.plugin import BlockSpec, InputSpec
from zoo.progress import Progress
from zoo.registry.preprocessing import list_differences
from zoo.registry.recipe import Recipe
from zoo.runs.facts import describe_blocks, list_facts
from zoo.training.job import Job
from zoo.training.phases import plan_phases


@dataclass(frozen=True)
class Plan:
    """A network that is ready to be trained, its images, and the phases of the run."""

    network: Network
    blocks: tuple[BlockSpec, ...]
    phases: Sequence[Recipe]
    #: SHA-256 of the frozen parameters and buffers in each phase.
    digests: Sequence[str]
    images: Images
    views: Views
    hardware: Hardware
    #: Contents of run.json before the first step.
    facts: Mapping[str, Any]

    def begin(self, index: int) -> Phase:
        """Freeze everything that a phase does not train, and return the phase."""
        recipe = self.phases[index]
        frozen = freeze(self.network, self.blocks, recipe)
        views = self.views if recipe.augmentation != "none" else Views(self.views.plain, self.views.plain)
        return Phase(self.network, frozen, self.images, views, recipe, self.hardware)


@contextmanager
def run_context(job: Job) -> Iterator[None]:
    """Seed torch, silence Pillow, set up the compile cache, and turn out-of-memory errors into one-line messages.

    Freed memory is kept. At the end, it is returned, and the states of the caller's random generators are restored.
    """
    compiling = keeping_artifacts() if job.recipe.compile else nullcontext()
    with keeping_freed_memory(), fork_generators(job.hardware.device), quiet_pillow(), compiling:
        torch.manual_seed(job.recipe.seed)
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError("not enough memory; use a smaller `batch_size`, `head` or backbone.") from error


def prepare(job: Job) -> Plan:
    """Build the network, read the images and plan the phases.

    Raises:
        ZooError: If the data, the weights or an option is invalid.
    """
    recipe, backbone, hardware, progress = job.recipe, job.resolved.backbone, job.hardware, job.progress
    model, weights = build_backbone(backbone, job.weights, progress, recipe.channels)
    budget = choose_budget(hardware.world.local_size)
    expected = choose_input(backbone, job.weights)
    report_input(job, expected)
    for change in recipe.preprocessing.list_changes(expected):
        progress.say(f"note: the input has {change}, which the weights expect")
    views = Views.build(recipe.preprocessing.apply(expected), recipe.augmentation, budget, recipe.erase)
    images = open_images(job.data, recipe.data_options, registry=job.registry, progress=progress, keep=views)
    _refuse_ineffective_weights(images, recipe)
    preprocessing = replace(recipe.preprocessing, bits=images.bits)
    views.use_bits(preprocessing.apply(expected).bits)
    network = attach_head(backbone, weights, model, recipe.head, len(images.classes))
    network = replace(network, preprocessing=preprocessing, origin=job.resolved.origin)
    carry_over_head(network, images.classes, progress)
    blocks = list_blocks(backbone, model, network.head)
    phases = plan_phases(recipe, blocks)
    _synchronize(model, images, hardware.world)
    _require_images(recipe, images, hardware.world)
    if recipe.shard and hardware.world.size > 1:
        _shard(network, blocks, phases[0], hardware)
    else:
        place(model, hardware)
    try_network(network, len(images.classes), hardware.device)
    # A block that is frozen in a phase was also frozen in all earlier phases, so all digests can be computed now.
    selections = [select(model, blocks, network.head, phase.scope, network.untrained) for phase in phases]
    _report_pitfalls(network, phases[-1], selections[-1], progress)
    digests = [digest_frozen(model, selection.trainable, network.untrained) for selection in selections]
    facts = {
        **list_facts(network, recipe, hardware, images),
        **describe_blocks(network, blocks, selections[-1]),
        **_describe_phases(phases, digests),
        "plugin": job.registry.find_origin(backbone),
    }
    if not isinstance(job.data, (str, PathLike)):
        facts["data"]["is_object"] = True
    return Plan(network, blocks, phases, digests, images, views, hardware, facts)


def _refuse_ineffective_weights(images: Images, recipe: Recipe) -> None:
    """Refuse loss weights with batches of one image, whose mean loss does not depend on its weight."""
    if recipe.batch_size == 1 and are_weighted(images.train):
        raise OptionError(
            "the table contains loss weights, which have no effect in batches of one image; "
            "use a `batch_size` of at least 2."
        )


def report_input(job: Job, expected: InputSpec) -> None:
    """Report where the preprocessing comes from if the weights are a file."""
    backbone, weights = job.resolved.backbone, job.weights
    usual = input_for(backbone, weights.tag)
    if weights.header:
        for difference in list_differences(expected, usual):
            job.progress.say(f"note: the input has {difference}, as in the run that wrote {weights.label}")
    elif weights.file and any(input_for(backbone, published.tag) != usual for published in backbone.weights):
        job.progress.say(
            f"note: {weights.label} does not state its preprocessing, so zoo uses that of {job.resolved.name}; "
            f"if the file was trained with the preprocessing of other weights, add their tag: {backbone.name}@TAG"
        )


def freeze(network: Network, blocks: tuple[BlockSpec, ...], recipe: Recipe) -> Frozen:
    """Freeze everything that the recipe of a phase does not train."""
    # A batch norm cannot compute statistics from a batch of one image.
    norms = list_batch_norms(network.model) if recipe.batch_size == 1 else []
    selection = select(network.model, blocks, network.head, recipe.scope, network.untrained)
    return Frozen(network.model, selection.trainable, norms, selection.active, network.untrained)


def _synchronize(model: nn.Module, images: Images, world: World) -> None:
    """Require the same images in all processes, and copy the first process's weights to the others."""
    if world.size > 1:
        world.require_same("images", images.fingerprint)
        world.broadcast_([*model.parameters(), *model.buffers()])


def _require_images(recipe: Recipe, images: Images, world: World) -> None:
    """Require images for every process in each batch, if the processes communicate in the forward pass."""
    if world.size == 1 or not (recipe.shard or recipe.sync_batch_norm):
        return
    name, needed = ("shard", {"train": 2, "val": 1, "test": 1}) if recipe.shard else ("sync_batch_norm", {"train": 1})
    for split, least in needed.items():
        count = len(getattr(images, split))
        if count < least * world.size and (count or split != "test"):
            raise OptionError(
                f"`{name}`: {count} {split} images are too few for {world.size} processes; use fewer processes, "
                f"or at least {least * world.size} images."
            )


def _shard(network: Network, blocks: tuple[BlockSpec, ...], recipe: Recipe, hardware: Hardware) -> None:
    """Shard the parameters across the processes."""
    freeze(network, blocks, recipe)
    shard(network.model, blocks, hardware.device, hardware.world.size)


def _report_pitfalls(network: Network, recipe: Recipe, selection: Selection, progress: Progress) -> None:
    if recipe.batch_size == 1 and list_batch_norms(network.model):
        progress.say("note: batch norm statistics stay fixed, because they cannot be computed from a single image")
    if network.initial_weights.is_random and recipe.scope.is_head_only:
        progress.say("warning: the frozen part has random weights, so little will be learned; use `train` all")
    parameters = dict(network.model.named_parameters())
    if not any(selection.trains(name) for name in parameters if is_below_any(name, network.head.paths)):
        progress.say("warning: the new head is frozen and keeps its initial values; add head to `train`")
    fixed = {name: parameter for name, parameter in parameters.items() if name in network.fixed}
    if any(is_below_any(name, selection.trainable) for name in fixed):
        advice = "" if network.origin is None else "; set it to True for those that should be trained"
        progress.say(f"note: never trained, because of requires_grad=False: {describe_parameters(fixed)}{advice}")


def _describe_phases(phases: Sequence[Recipe], digests: Sequence[str]) -> dict[str, Any]:
    """Return the fields of run.json about phases and frozen tensors."""
    return {
        "phases": [
            {"train": phase.train, "epochs": phase.epochs, "lr": phase.learning_rate, "frozen": digest}
            for phase, digest in zip(phases, digests, strict=True)
        ],
        "frozen": {"before": digests[-1]},
    }
