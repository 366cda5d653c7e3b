"""Training as a run: phase after phase, the best model kept, the state saved, and what is frozen proved."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.backbone import Network
from zoo.data.images import Images
from zoo.data.pixels import Views
from zoo.engine.device import Hardware
from zoo.engine.epoch import Epoch
from zoo.engine.feed import Feed
from zoo.engine.fit import Fit
from zoo.engine.loop import evaluate, finite_or_none
from zoo.engine.state import State
from zoo.errors import FrozenMoved
from zoo.export.best import BestModel
from zoo.export.folder import MODEL, RunFolder
from zoo.export.record import Record, measure_split
from zoo.export.tensors import load_tensors, make_header
from zoo.features import choose_feed
from zoo.freeze import Frozen, list_batch_norms, list_learning
from zoo.plugin import BlockSpec
from zoo.progress import Progress
from zoo.recipe import Recipe
from zoo.resume import Saver, remove_states


@dataclass(frozen=True)
class Plan:
    """What is trained, on what, and in which phases."""

    network: Network
    blocks: tuple[BlockSpec, ...]
    phases: Sequence[Recipe]
    images: Images
    views: Views
    hardware: Hardware

    def begin(self, phase: int) -> Fit:
        """Freeze what does not learn in a phase."""
        recipe = self.phases[phase]
        frozen = freeze(self.network, self.blocks, recipe)
        views = self.views if recipe.augmentation != "none" else Views(self.views.plain, self.views.plain)
        return Fit(self.network, frozen, self.images, views, recipe, self.hardware)


def freeze(network: Network, blocks: tuple[BlockSpec, ...], recipe: Recipe) -> Frozen:
    """Freeze all that does not learn."""
    # With one image in a batch there is nothing that batch norms could learn their statistics from.
    norms = list_batch_norms(network.model) if recipe.batch_size == 1 else []
    return Frozen(network.model, list_learning(blocks, network.head, recipe.train), still=norms)


def train(plan: Plan, state: State, record: Record, progress: Progress) -> None:
    """Train, keep the best, prove that what is frozen did not move, and measure the best on the test images.

    Raises:
        FrozenMoved: something frozen changed; no model is left.
        TrainingError: the loss or the gradients are not finite.
        RunError: the run folder cannot be written any more.
    """
    best_model = BestModel(record.folder, make_header(plan.network, plan.images.classes))
    saver = Saver(state, record, best_model, progress)
    watch = Watch(plan, record, best_model, saver)
    with saver, best_model:
        for phase in range(state.phase, len(plan.phases)):
            fit, is_last = plan.begin(phase), phase == len(plan.phases) - 1
            before = record.facts["phases"][phase]["frozen"] or fit.frozen.digest()
            with closing(choose_feed(fit, before, progress, is_last=is_last)) as feed:
                fit.begin(phase, feed, state, progress)
                fit.run(feed, state, watch, progress)
                best_model.settle()
                _prove_frozen(fit.frozen, before, record)
                if is_last:
                    if fit.recipe.baseline != "none":  # which takes as long again
                        saver.save()
                    _finish(fit, feed, record, progress)


class Watch:
    """Writes down how it goes."""

    def __init__(self, plan: Plan, record: Record, best_model: BestModel, saver: Saver) -> None:
        self._plan = plan
        self._record = record
        self._best_model = best_model
        self._saver = saver

    def on_step(self) -> None:
        """Save the state if its time has come."""
        self._saver.on_step()

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, *, is_best: bool) -> None:
        """Write the epoch's line, and keep its model if it is the best."""
        if is_best:
            self._best_model.keep(self._plan.network.model)
            self._record.note_best(epoch, measure_split(probabilities, self._plan.images, "val"))
        else:
            self._best_model.go_on()
        self._record.add(epoch)  # last, for it tells plugins, which may raise


def _prove_frozen(frozen: Frozen, before: str, record: Record) -> None:
    try:
        record.facts["frozen"]["after"] = frozen.check(before)
    except FrozenMoved:
        (record.folder.path / MODEL).unlink()  # nobody should use it by accident
        remove_states(record.folder)
        raise


def _finish(fit: Fit, feed: Feed, record: Record, progress: Progress) -> None:
    best = record.facts["best"]
    progress.say(f"best: epoch {best['epoch']}, validation accuracy {best['val_accuracy']:.3f}")
    if fit.images.test:
        record.facts["test"] = _test(fit, feed, record.folder, progress)


def _test(fit: Fit, feed: Feed, folder: RunFolder, progress: Progress) -> dict[str, Any]:
    load_tensors(fit.network.model, folder.path / MODEL)
    with progress.track("testing", len(fit.images.test)) as advance:
        score, probabilities = evaluate(feed.model, feed.measure("test"), fit.hardware, advance)
    progress.say(f"test: loss {score.loss:.4f} accuracy {score.accuracy:.3f}")
    return {"loss": finite_or_none(score.loss), **measure_split(probabilities, fit.images, "test")}
