"""Fine-tuning, from a backbone name to a run folder. The function `finetune` shows the sequence of steps."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from zoo.data.source import name_source
from zoo.engine.device import allowing_tf32
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import World
from zoo.engine.state import TrainingState
from zoo.files.paths import expand_user
from zoo.models.own.own_network import Blocks, OwnNetwork
from zoo.progress import Progress, Silent, choose_progress
from zoo.registry.finetune_options import FinetuneOptions, check_arguments, document_options
from zoo.registry.fold import Fold
from zoo.registry.recipe import Recipe, make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.runs.export.upstream_files import write_upstream_files
from zoo.runs.folder import REPORT, RunFolder
from zoo.runs.lock import RunLock
from zoo.runs.model_card import write_card
from zoo.runs.predictions import write_predictions
from zoo.runs.record import Record
from zoo.runs.report.page import write_page
from zoo.runs.report.pictures import Pictures
from zoo.training.baseline import compare_baseline, train_baseline
from zoo.training.callbacks import recording
from zoo.training.folds import SaidOnce, claim_folder, cross_validate, plan_folds, reopen_folder, report_cost
from zoo.training.job import Job, open_network, resolve_job
from zoo.training.pictures import draw_run_pictures
from zoo.training.prepare import Plan, prepare, run_context
from zoo.training.resume import (
    EarlierRun,
    broadcast_earlier,
    find_earlier,
    record_start,
    remove_states,
    require_same_run,
)
from zoo.training.run import Run
from zoo.training.summary import report_changes, report_plan
from zoo.training.train import train


@document_options
def finetune(  # noqa: PLR0913  # the public entry point; all but two arguments are keywords
    backbone: str | nn.Module | OwnNetwork,
    data: Any,
    *,
    blocks: Blocks | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    folds: int | None = None,
    recipe: str | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Unpack[FinetuneOptions],
) -> Run:
    """Fine-tune a backbone on a data set and write a run folder. Under torchrun, call it in every process.

    Args:
        backbone: Name as shown by ``zoo list``, bare or qualified, with ``@TAG`` for specific weights; or your own
            network, as a module, which is not changed, or as ``FILE.py:FUNCTION``.
        data: Folder of images, table that lists images, archive of a folder, or name of a data set; or a list of
            (path, label), a pandas DataFrame, a map-style data set, or a dictionary of these by split.
        blocks: Blocks of your own network from input to output, as paths such as ``["conv1", "layer1"]``, or as a
            dictionary of paths by the name of the block. Default: its children, in the order of use.
        output: Run folder. Default: ``runs/BACKBONE-DATA-N``.
        resume: Resume the run in ``output`` with the same options as before, or start it if nothing was saved.
        folds: Number of folds of a cross-validation, which trains a run for each fold; see `zoo.training.folds`.
        recipe: Name of a recipe in registry.toml. Options passed here override the recipe's.
        registry: Registry in which names are looked up. Default: all installed plugins.
        progress: Receives messages and progress. Default: they are shown in notebooks, and discarded elsewhere.
        **options: Fields of `zoo.Recipe`, as listed below. For your own network, ``head`` can also be the path of the
            last layer. Default: the last linear or convolutional layer that the forward pass calls.

    Returns:
        The finished run, the same in every process. With ``folds``, its facts are the contents of folds.json.

    Raises:
        ZooError: If the run cannot start or finish; see `zoo.errors`.
    """
    check_arguments(output=output, recipe=recipe)
    registry = registry or open_registry()
    network, settings = open_network(backbone, blocks, options)
    output = None if output is None else expand_user(output)
    with join_world() as world, RunLock() as lock:
        progress = (progress or choose_progress()) if world.is_first else Silent()
        chosen = _make_recipe(recipe, settings, registry, progress)
        if folds is not None:
            planned, progress = plan_folds(folds, chosen), SaidOnce(progress)
            job = resolve_job(network, data, chosen, registry, progress)
            return _cross_validate(network, job, planned, output, lock, resume=resume)
        earlier = _find_earlier(output, lock, world, progress, resume=resume)
        job = resolve_job(network, data, chosen, registry, progress)
        with run_context(job):
            plan = _plan(job, earlier, output)
            if earlier and earlier.is_finished:
                return Run(earlier.folder.path, earlier.facts)
            record = _begin_record(job, plan, earlier, output, lock) if world.is_first else None
            state = TrainingState(plan.network.model, earlier.checkpoint if earlier else None)
            with allowing_tf32(plan.hardware), recording(plan, state, record, progress) as callbacks:
                train(plan, state, callbacks, progress)
            pictures = draw_run_pictures(plan, record, progress) if record else None
        baseline = train_baseline(job, record, finetune)
        return _finish(job, record, baseline, pictures)


def _cross_validate(  # noqa: PLR0913  # all but the first are needed to find the folder
    network: str | OwnNetwork, job: Job, folds: Sequence[Fold], output: Path | None, lock: RunLock, *, resume: bool
) -> Run:
    """Train a run for each fold in a folder of its own, and summarize them."""

    def train_fold(fold: Fold, output: Path, progress: Progress) -> Mapping[str, Any]:
        options = dataclasses.asdict(replace(job.recipe, fold=str(fold)))
        options |= {"output": output, "resume": True, "registry": job.registry, "progress": progress}
        return finetune(network, job.data, **options).facts

    folder = None
    if job.hardware.world.is_first:
        folder = reopen_folder(output, len(folds), lock) if resume else claim_folder(job, output, lock)
    report_cost(job.recipe, len(folds), job.progress)
    return Run(*cross_validate(folds, folder, train_fold, job.hardware.world, job.progress))


def _make_recipe(name: str | None, options: Mapping[str, Any], registry: Registry, progress: Progress) -> Recipe:
    """Combine the options with the named recipe's."""
    if name is None:
        return make_recipe(dict(options))
    named = registry.get_recipe(name)
    progress.say(f"recipe {name}: {', '.join(f'{key} {value}' for key, value in named.options.items())}")
    if named.expected:
        progress.say(f"expected: {named.expected}")
    return make_recipe({**named.options, **options})


def _find_earlier(
    output: Path | None, lock: RunLock, world: World, progress: Progress, *, resume: bool
) -> EarlierRun | None:
    """Return the run to resume; without ``resume``, require that ``output`` is unused."""
    if world.is_first and not resume:
        RunFolder.refuse_used(output)
    earlier = find_earlier(output, lock, progress) if world.is_first and resume else None
    return broadcast_earlier(earlier, world) if resume else None


def _plan(job: Job, earlier: EarlierRun | None, output: Path | None) -> Plan:
    """Prepare the training; to resume a run, require the same options, data and weights."""
    if earlier and job.recipe.precision == "auto":
        # This machine might choose a different precision than the machine on which the run started.
        job = replace(job, hardware=replace(job.hardware, precision=earlier.facts["hardware"]["precision"]))
    plan = prepare(job)
    report_plan(plan.facts, job.progress)
    if earlier:
        require_same_run(earlier.facts, plan.facts, output)
        if not earlier.is_finished:
            report_changes(earlier.facts, plan.facts, job.progress)
        elif job.hardware.world.is_first:
            remove_states(earlier.folder)  # The process may have been killed just before it removed them.
            job.progress.say(f"{output} is already finished")
    return plan


def _begin_record(job: Job, plan: Plan, earlier: EarlierRun | None, output: Path | None, lock: RunLock) -> Record:
    """Create the run folder and its record, or continue with the earlier run's."""
    folder = earlier.folder if earlier else RunFolder.claim(output, job.resolved.backbone.name, name_source(job.data))
    lock.take(folder.path)
    record = Record(folder, plan.facts, job.registry, job.progress)
    if earlier and earlier.checkpoint:
        history = earlier.checkpoint.facts["history"]
        record.resume(earlier.facts, history)
        job.progress.say(f"resuming in epoch {len(history) + 1}")
    else:
        record_start(record)
    record.open()  # This comes last because plugins may add files, and a run that resumes must recognize its folder.
    return record


def _finish(job: Job, record: Record | None, baseline: Run | None, pictures: Pictures | None) -> Run:
    """Write the predictions, the model card, the report and run.json, and return the run in every process."""
    shared = ""
    if record:
        if baseline:
            record.facts["baseline"] = compare_baseline(record.facts, baseline.facts, job.progress)
        write_upstream_files(record.folder, job.resolved.backbone, job.progress)
        write_card(record.folder, record.facts, job.resolved.backbone)
        write_predictions(record.folder, record.list_predictions())
        write_page(record.folder, record.facts, record.history, pictures)
        record.write()  # This marks the run as finished, so the checkpoints are removed only afterwards.
        remove_states(record.folder)
        record.close()
        job.progress.say(f"report: {record.folder.path / REPORT}")
        shared = json.dumps([str(record.folder.path), record.facts])
    path, facts = json.loads(job.hardware.world.broadcast(shared))
    return Run(Path(path), facts)
