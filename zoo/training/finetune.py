"""Fine-tuning from a name to a run folder; ``finetune`` is the table of contents."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.engine.device import rounding
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import World
from zoo.engine.state import TrainingState
from zoo.errors import NotFinite, TrainingError
from zoo.models.sharding import is_sharded
from zoo.progress import Progress, Silent
from zoo.registry.recipe import Recipe, make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.registry.train_scope import ALL
from zoo.runs.folder import BASELINE, REPORT, RunFolder
from zoo.runs.lock import RunLock
from zoo.runs.model_card import write_card
from zoo.runs.model_file import make_header
from zoo.runs.record import Record
from zoo.runs.report.page import write_page
from zoo.training.callbacks import Callbacks, ShardCallbacks, recording
from zoo.training.phases import Plan, train
from zoo.training.prepare import Job, prepare, resolve_job, surroundings
from zoo.training.resume import EarlierRun, find_earlier, note_begin, refuse_other, remove_states, share_earlier
from zoo.training.summary import say_changes, say_plan


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A finished run."""

    #: The run folder.
    path: Path
    #: What run.json holds.
    facts: Mapping[str, Any]

    def __fspath__(self) -> str:
        return str(self.path)


def finetune(  # noqa: PLR0913  # the front door; all but the first two are named
    backbone: str,
    data: str | Path,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    recipe: str | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Fine-tune a backbone on a data set and write a run folder; under torchrun, call it in every process.

    Args:
        backbone: a name as ``zoo list`` shows it, bare or qualified, with ``@TAG`` for given weights.
        data: a folder of images, an archive of one, or the name of a data set.
        output: the run folder; None: ``runs/BACKBONE-DATA-N``.
        resume: continue the run in ``output`` with the same options as before, or start it if nothing was saved.
        recipe: a recipe of registry.toml; the options given here win over its own.
        registry: where names are looked up; None: all installed plugins.
        progress: receives messages and progress.
        **options: the fields of `zoo.Recipe`.

    Raises:
        ZooError: see `zoo.errors`; its message says what was asked, what exists and what to do.
    """
    registry = registry or open_registry()
    output = None if output is None else Path(output).expanduser()
    with join_world() as world, RunLock() as lock:
        progress = progress if progress and world.is_first else Silent()  # what is the same is said once
        chosen = _make_recipe(recipe, options, registry, progress)
        earlier = _find_earlier(output, world, lock, progress, resume=resume)
        job = resolve_job(backbone, data, chosen, registry, progress)
        with surroundings(job):
            plan, facts = _plan(job, earlier, output)
            if earlier and earlier.is_over:
                return Run(earlier.folder.path, earlier.run)
            record = _begin_record(job, earlier, output, facts, lock) if world.is_first else None
            _train(plan, earlier, record, progress)
        return _finish(job, record)


def _find_earlier(
    output: Path | None, world: World, lock: RunLock, progress: Progress, *, resume: bool
) -> EarlierRun | None:
    """Find what there is of the run, which the first process does; without ``resume`` there must be nothing."""
    earlier = None
    if world.is_first and not resume:
        RunFolder.refuse_used(output)
    elif world.is_first:
        if output and output.is_dir():
            lock.take(output)
        earlier = find_earlier(output, progress)
    return share_earlier(earlier, world) if resume else None


def _plan(job: Job, earlier: EarlierRun | None, output: Path | None) -> tuple[Plan, dict[str, Any]]:
    """Plan what is to be trained, and refuse to go on with what would be another run."""
    # A run that goes on does so in the precision that it began in, whatever would be measured now.
    is_open = earlier is not None and job.recipe.precision == "auto"
    plan, facts = prepare(job, earlier.run["hardware"]["precision"] if earlier and is_open else None)
    say_plan(facts, job.progress)
    if earlier:
        refuse_other(earlier.run, facts, output)
        if not earlier.is_over:
            say_changes(earlier.run, facts, job.progress)
        elif job.hardware.world.is_first:
            remove_states(earlier.folder)  # it may have been killed just before
            job.progress.say(f"{output} is over already; nothing is left to do")
    return plan, facts


def _train(plan: Plan, earlier: EarlierRun | None, record: Record | None, progress: Progress) -> None:
    """Train; the process that has the record keeps it."""
    state = TrainingState(plan.network.model, earlier.state if earlier else None)
    with rounding(plan.hardware):
        if record is None:
            train(plan, state, _make_callbacks(plan, state), progress)
            return
        header = make_header(plan.network, plan.images.classes)
        with recording(record, plan.images, header, state, progress) as callbacks:
            train(plan, state, callbacks, progress)


def _make_callbacks(plan: Plan, state: TrainingState) -> Callbacks:
    """Make the callbacks of a process that is not the first."""
    every = plan.phases[0].saves_every
    return ShardCallbacks(state, every) if every and is_sharded(plan.network.model) else Callbacks()


def _begin_record(
    job: Job, earlier: EarlierRun | None, output: Path | None, facts: dict[str, Any], lock: RunLock
) -> Record:
    """Begin the record of the run in its folder, or go on with it."""
    folder = earlier.folder if earlier else RunFolder.claim(output, job.resolved.backbone.name, str(job.data))
    lock.take(folder.path)
    record = Record(folder, facts, job.registry, job.progress)
    if earlier and earlier.state:
        history = earlier.state.facts["history"]
        record.go_on(earlier.run, history)
        job.progress.say(f"goes on in epoch {len(history) + 1}, where it was interrupted")
    else:
        note_begin(record)
    return record


def _finish(job: Job, record: Record | None) -> Run:
    """Train the baseline if there is to be one, and let the first process write what people look at."""
    baseline = _run_baseline(job, record) if job.recipe.baseline == "scratch" else None
    told = ""
    if record:
        if baseline:
            record.facts["baseline"] = _compare_baseline(record.facts, baseline.facts, job.progress)
        write_card(record.folder, record.facts, job.resolved.backbone)
        write_page(record.folder, record.facts, record.history)
        record.write()  # last, for then nothing is left to go on with
        remove_states(record.folder)
        record.close()
        job.progress.say(f"report: {record.folder.path / REPORT}")
        told = json.dumps([str(record.folder.path), record.facts])
    path, facts = json.loads(job.hardware.world.spread(told))
    return Run(Path(path), facts)


def _make_recipe(name: str | None, options: Mapping[str, Any], registry: Registry, progress: Progress) -> Recipe:
    if name is None:
        return make_recipe(dict(options))
    named = registry.get_recipe(name)
    progress.say(f"recipe {name}: {', '.join(f'{key} {value}' for key, value in named.options.items())}")
    if named.expected:
        progress.say(f"expected: {named.expected}")
    return make_recipe({**named.options, **options})


def _run_baseline(job: Job, record: Record | None) -> Run | None:
    """Train the same network from random weights on the same budget; None where that cannot be done."""
    job.progress.say("baseline: the same network for as many epochs, all of it from random weights")
    mine = replace(job.recipe, weights="none", baseline="none")
    if mine.scope != ALL:  # what suits a head does not suit a whole network
        mine = replace(mine, train=str(ALL), lr=None, augment=None, views=None)
    tag = f"@{job.start.tag}" if job.start.tag else ""  # which decides the architecture and what it sees
    try:
        return finetune(
            f"{job.resolved.backbone.name}{tag}",
            job.data,
            output=record.folder.path / BASELINE if record else Path(BASELINE),  # nothing is written without a record
            resume=True,
            registry=job.registry,
            progress=job.progress,
            **dataclasses.asdict(mine),
        )
    except TrainingError as error:
        if job.hardware.world.size > 1 and not isinstance(error, NotFinite):  # the others may not have it
            raise
        job.progress.say(f"warning: there is no baseline: {error}")
        return None


def _compare_baseline(facts: Mapping[str, Any], baseline: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Return how much better the run is than one from random weights."""
    split = "test" if facts.get("test") else "val"
    accuracy = baseline[split]["accuracy"]
    gain = facts[split]["accuracy"] - accuracy
    name = "transfer gain" if gain >= 0 else "NEGATIVE TRANSFER: the start that was chosen does harm, gain"
    progress.say(f"{name} {100 * gain:+.1f} points on the {split} images, over {accuracy:.3f}")
    return {"path": BASELINE, "split": split, "accuracy": accuracy, "gain": gain}
