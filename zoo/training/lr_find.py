"""The learning rate range test, from a backbone name to a suggested learning rate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Unpack

from torch import nn

from zoo.engine.device import allowing_tf32
from zoo.engine.features.features import choose_batch_source
from zoo.engine.lr_range_test import STEPS, TriedRate, suggest_rate, try_rates
from zoo.engine.state import TrainingState
from zoo.errors import OptionError
from zoo.models.own.own_network import Blocks
from zoo.progress import Progress, choose_progress
from zoo.registry.finetune_options import FinetuneOptions
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.training.job import open_network, resolve_job
from zoo.training.prepare import prepare, run_context


@dataclass(frozen=True)
class FoundRate:
    """The result of a learning rate range test."""

    #: Suggested learning rate; None if the loss never fell.
    suggested: float | None
    #: Learning rates in the order in which they were tried, with their losses.
    tried: Sequence[TriedRate]


def find_lr(
    backbone: str | nn.Module,
    data: Any,
    *,
    blocks: Blocks | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Unpack[FinetuneOptions],
) -> FoundRate:
    """Try learning rates from far too low to far too high, in up to a hundred steps.

    Args:
        backbone: Name of a backbone or your own network, as for `zoo.finetune`.
        data: Data set, as for `zoo.finetune`.
        blocks: Blocks of your own network, as for `zoo.finetune`.
        registry: Registry in which names are looked up. Default: all installed plugins.
        progress: Receives messages and progress. Default: they are shown in notebooks, and discarded elsewhere.
        **options: Options, as for `zoo.finetune`. If the run has several phases, only the first one is used.

    Raises:
        ZooError: If a name does not exist, or the data or an option is invalid; see `zoo.errors`.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionError("a learning rate range test runs in a single process; start it without torchrun.")
    network, settings = open_network(backbone, blocks, options)
    recipe = make_recipe(settings)
    if recipe.lr == 0:
        raise OptionError("`lr` must not be 0; leave it out, because the test searches for it.")
    registry, progress = registry or open_registry(), progress or choose_progress()
    job = resolve_job(network, data, recipe, registry, progress)
    with run_context(job):
        plan = prepare(job)
        phase, state = plan.begin(0), TrainingState(plan.network.model)
        with (
            allowing_tf32(plan.hardware),
            closing(choose_batch_source(phase, plan.digests[0], progress)) as source,
        ):
            phase.begin(0, source, state, progress)
            assert state.learner is not None
            with progress.track("trying learning rates", STEPS) as advance:
                tried = try_rates(state.learner, source, advance)
    return FoundRate(suggest_rate(tried), tried)
