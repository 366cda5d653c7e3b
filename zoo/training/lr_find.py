"""From a name to the learning rate that suits it on some images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.engine.device import rounding
from zoo.engine.features.features import choose_feed
from zoo.engine.lr_range_test import STEPS, Tried, suggest, try_rates
from zoo.engine.state import TrainingState
from zoo.errors import OptionError
from zoo.progress import Progress, Silent
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.training.prepare import prepare, resolve_job, surroundings


@dataclass(frozen=True)
class FoundRate:
    """What was found."""

    #: None where the loss never fell.
    suggested: float | None
    tried: Sequence[Tried]


def find_lr(
    backbone: str,
    data: str | Path,
    *,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> FoundRate:
    """Try learning rates from far too low to far too high, in one run of up to a hundred steps.

    Args:
        backbone: as `zoo.finetune` takes it.
        data: as `zoo.finetune` takes it.
        registry: where names are looked up; None: all installed plugins.
        progress: told what goes on; None: nobody.
        **options: the fields of `zoo.Recipe`; of a run of phases the first one is tried.

    Raises:
        ZooError: something that was asked for does not exist or does not fit; see `zoo.errors`.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionError("rates are tried by one process; start it without torchrun.")
    recipe = make_recipe(options)
    if recipe.lr == 0:
        raise OptionError("lr is 0; leave it out, as it is what is looked for.")
    registry, progress = registry or open_registry(), progress or Silent()
    job = resolve_job(backbone, data, recipe, registry, progress)
    with surroundings(job):
        plan, _ = prepare(job)
        fit = plan.begin(0)
        state = TrainingState(plan.network.model)
        with rounding(plan.hardware), closing(choose_feed(fit, fit.frozen.digest(), progress)) as feed:
            fit.begin(0, feed, state, progress)
            assert state.learner is not None
            with progress.track("trying rates", STEPS) as advance:
                tried = try_rates(state.learner, feed, advance)
    return FoundRate(suggest(tried), tried)
