"""Fine-tuning from a name to a run folder; ``finetune`` is the table of contents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.backbone import Network, attach_head, build_backbone, try_network
from zoo.data.image import quiet_pillow
from zoo.data.images import open_images
from zoo.data.pixels import Views
from zoo.data.source import look_up
from zoo.engine.device import choose_hardware, place, rounding
from zoo.engine.feed import Feed
from zoo.engine.fit import Epoch, Fit
from zoo.engine.loop import evaluate, finite_or_none
from zoo.errors import FrozenMoved, TrainingError
from zoo.export.best import BestModel
from zoo.export.card import write_card
from zoo.export.folder import MODEL, REPORT, RunFolder
from zoo.export.record import Record, list_facts, list_parts, measure_split
from zoo.export.tensors import load_tensors, make_header
from zoo.features import choose_feed
from zoo.freeze import Frozen, list_batch_norms, list_blocks, list_learning, refuse_unknown_block
from zoo.licence import describe_licence
from zoo.progress import Progress, Silent
from zoo.recipe import Recipe, make_recipe
from zoo.registry import Registry, Resolved, open_registry
from zoo.report.page import write_page
from zoo.speed import settle_precision
from zoo.start import Start, choose_start, input_for


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A finished run."""

    #: The run folder.
    path: Path
    #: What run.json holds.
    facts: Mapping[str, Any]

    def __fspath__(self) -> str:
        return str(self.path)


def finetune(
    backbone: str,
    data: str | Path,
    *,
    output: str | Path | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Fine-tune a backbone on a data set and write a run folder.

    Args:
        backbone: a name as ``zoo list`` shows it, bare or qualified, with ``@TAG`` for given weights.
        data: a folder of images, an archive of one, or the name of a data set.
        output: the run folder; None: ``runs/BACKBONE-DATA-N``.
        registry: where names are looked up; None: all installed plugins.
        progress: told what goes on; None: nobody.
        **options: the fields of `zoo.Recipe`.

    Raises:
        ZooError: something that was asked for does not exist or does not fit; see `zoo.errors`.
    """
    recipe = make_recipe(options)
    registry, progress = registry or open_registry(), progress or Silent()
    output = None if output is None else Path(output).expanduser()
    RunFolder.refuse_used(output)
    look_up(data, registry=registry)
    hardware = choose_hardware(recipe.device, recipe.precision)
    resolved = registry.resolve(backbone)
    refuse_unknown_block(resolved.backbone, recipe.train)
    start = choose_start(resolved, recipe.weights)
    _say_choice(resolved, start, progress)
    with _seeded(recipe.seed), _enough_memory(), quiet_pillow():
        model = build_backbone(resolved.backbone, start, progress)
        views = Views.build(input_for(resolved.backbone, start.tag), recipe.augmentation)
        images = open_images(data, registry=registry, seed=recipe.seed, progress=progress, keep=views.list_pixels())
        network = attach_head(resolved.backbone, start, model, recipe.head, len(images.classes))
        place(network.model, hardware)
        try_network(network, len(images.classes), hardware.device)
        frozen, parts = _freeze(network, recipe, progress)
        hardware = settle_precision(network, recipe, hardware, progress)
        facts = {
            **list_facts(network, recipe, hardware, images),
            **parts,
            "plugin": registry.find_origin(network.backbone),
        }
        _say_plan(facts, progress)
        folder = RunFolder.claim(output, resolved.backbone.name, images.origin)
        record = Record(folder, facts, registry, progress)
        with rounding(hardware):
            _train(Fit(network, frozen, images, views, recipe, hardware), record, progress)
    write_card(folder, record.facts, resolved.backbone)
    write_page(folder, record.facts, record.history)
    record.close()
    progress.say(f"report: {folder.path / REPORT}")
    return Run(folder.path, record.facts)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Turn torch's ways to say that memory is short into one line."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise TrainingError("memory is too short for this; take a smaller --batch-size, --head or backbone.") from error


def _say_choice(resolved: Resolved, start: Start, progress: Progress) -> None:
    name = resolved.backbone.name
    progress.say(f"{resolved.asked} -> {name}@{start.label}")
    for note in resolved.notes:
        progress.say(f"note: {note}")
    warning = describe_licence(f"{name}@{start.label}", start.licence) if start.licence else None
    if warning:
        progress.say(warning)


def _say_plan(facts: Mapping[str, Any], progress: Progress) -> None:
    recipe, params = facts["recipe"], facts["params"]
    learning = [block["name"] for block in facts["blocks"] if block["learns"]]
    blocks = learning[0] if len(learning) == 1 else f"{learning[0]} to {learning[-1]}" if learning else ""
    what = f"{blocks} and the head" if blocks else "the head"
    progress.say(
        f"learns: {what} ({recipe['head']}), {params['learning']:,} of {params['total']:,} parameters, "
        f"{recipe['epochs']} epoch{'s' * (recipe['epochs'] != 1)}, "
        f"{recipe['optimizer']} at {recipe['lr']:g} ({recipe['schedule']}), "
        f"{facts['hardware']['precision']} on {facts['hardware']['device']}"
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw new heads, dropouts and random weights from the seed, and leave the caller's own generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _freeze(network: Network, recipe: Recipe, progress: Progress) -> tuple[Frozen, dict[str, Any]]:
    """Freeze all that does not learn; returns it, and what run.json says of it."""
    model = network.model
    blocks = list_blocks(network.backbone, model, network.head)
    learning = list_learning(blocks, network.head, recipe.train)
    norms = list_batch_norms(model) if recipe.batch_size == 1 else []
    if norms:
        progress.say("note: with one image in a batch, batch norms keep the statistics that they have")
    frozen = Frozen(model, learning, still=norms)
    if network.start.is_random and recipe.train == "head":
        progress.say("note: random weights are frozen here; with --train all they would learn")
    return frozen, {**list_parts(model, blocks, learning), "frozen": {"before": frozen.digest()}}


def _train(fit: Fit, record: Record, progress: Progress) -> None:
    """Train, keep the best, prove that what is frozen did not move, and measure the best on the test images."""
    best_model = BestModel(record.folder, make_header(fit.network, fit.images.classes))

    def on_epoch(epoch: Epoch, probabilities: Tensor, is_best: bool) -> None:  # noqa: FBT001  # a callback's
        record.add(epoch)
        if is_best:
            best_model.keep(fit.network.model)
            record.note_best(epoch, measure_split(probabilities, fit.images, "val"))
        else:
            best_model.go_on()

    with closing(choose_feed(fit, record.facts["frozen"]["before"], progress)) as feed:
        with best_model:
            fit.run(feed, on_epoch, progress)
        _prove_frozen(fit, record)
        best = record.facts["best"]
        progress.say(f"best: epoch {best['epoch']}, validation accuracy {best['val_accuracy']:.3f}")
        if fit.images.test:
            record.facts["test"] = _test(fit, feed, record.folder, progress)


def _prove_frozen(fit: Fit, record: Record) -> None:
    try:
        record.facts["frozen"]["after"] = fit.frozen.check(record.facts["frozen"]["before"])
    except FrozenMoved:
        (record.folder.path / MODEL).unlink()  # nobody should use it by accident
        raise


def _test(fit: Fit, feed: Feed, folder: RunFolder, progress: Progress) -> dict[str, Any]:
    load_tensors(fit.network.model, folder.path / MODEL)
    with progress.track("testing", len(fit.images.test)) as advance:
        score, probabilities = evaluate(feed.model, feed.measure("test"), fit.hardware, advance)
    progress.say(f"test: loss {score.loss:.4f} accuracy {score.accuracy:.3f}")
    return {"loss": finite_or_none(score.loss), **measure_split(probabilities, fit.images, "test")}
