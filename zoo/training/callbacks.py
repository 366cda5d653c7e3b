"""Callbacks that write the files of a run while it trains: its history, its best model and its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.engine.loop import Score, finite_or_none
from zoo.engine.metrics import Epoch
from zoo.engine.missing_gradients import MissingGradients
from zoo.engine.state import TrainingState
from zoo.errors import DataError, FrozenMoved, NotEnoughMemory, NotFinite, PeerError, TrainingError
from zoo.models.sharding import gather_for_other, is_sharded
from zoo.progress import Progress
from zoo.registry.fold import Fold
from zoo.runs.best_model import BestModel
from zoo.runs.folder import MODEL
from zoo.runs.model_file import make_header, read_tensors
from zoo.runs.record import Record
from zoo.training.checkpointing import Checkpointer
from zoo.training.prepare import Plan
from zoo.training.resume import remove_states


class Callbacks:
    """Callbacks that do nothing, for all processes but the first."""

    def on_step(self) -> None:
        """Called after each step."""

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        """Called after each epoch; ``probabilities`` has shape (N, classes) and belongs to the validation images."""

    def on_missing_gradients(self, found: MissingGradients) -> None:
        """Called after the first step of a phase if no gradient reached some of the parameters to be trained."""

    def on_unreadable(self, found: Mapping[str, str]) -> None:
        """Called if the images were not examined, with the unreadable ones so far and the reasons."""

    def on_phase(self, digest: str) -> None:
        """Called after each phase with the digest of its frozen tensors."""

    def on_last(self) -> None:
        """Called after the last phase."""

    def read_best(self) -> Mapping[str, Tensor]:
        """Return the tensors of the best model, or an empty mapping if this process does not store them."""
        return {}

    def on_evaluated(self, split: str, score: Score, probabilities: Tensor) -> None:
        """Called with the best model's score and probabilities, of shape (N, classes), for val or test."""


class ShardCallbacks(Callbacks):
    """Callbacks that send this process's shards of the model when the first process writes a file."""

    def __init__(self, state: TrainingState, every: int) -> None:
        self._state = state
        self._every = every

    def on_step(self) -> None:
        """Send the shards of a checkpoint if one is due."""
        if self._state.batches % self._every == 0:
            self._state.contribute()

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:  # noqa: ARG002
        """Send the shards of the best model."""
        if is_best:
            gather_for_other(model.state_dict().values())


class RunCallbacks(Callbacks):
    """Callbacks of the first process, which write the run folder."""

    def __init__(
        self, record: Record, images: Images, best_model: BestModel, saver: Checkpointer, progress: Progress
    ) -> None:
        self._record = record
        self._images = images
        self._best_model = best_model
        self._saver = saver
        self._progress = progress
        fold = record.facts["recipe"].get("fold")
        self._fold = Fold.parse(fold) if fold else None

    def on_step(self) -> None:
        """Save a checkpoint if one is due."""
        self._saver.on_step()

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        """Write the epoch to the history, and keep its model if it is the best.

        If a fold is held out, also write the predictions of the last epoch.
        """
        if is_best:
            self._best_model.keep(model)
            self._record.note_best(epoch, self._record.measure(probabilities, self._images, "val"))
            self._record.keep_predictions(probabilities, self._images, "val")
        else:
            self._best_model.write_if_due()
        if self._fold and epoch.epoch == self._record.facts["recipe"]["epochs"]:
            self._record.write_out_of_fold(probabilities, self._images, self._fold)
        self._record.add(epoch)  # This comes last because it calls plugins, which may raise.

    def on_missing_gradients(self, found: MissingGradients) -> None:
        """Record the parameters that no gradient reached."""
        self._record.note_missing_gradients(found)

    def on_unreadable(self, found: Mapping[str, str]) -> None:
        """Record and report the unreadable images."""
        self._record.leave_out(found, self._images)

    def on_phase(self, digest: str) -> None:
        """Write the best model, and record the digest."""
        self._best_model.flush()
        self._record.facts["frozen"]["after"] = digest

    def on_last(self) -> None:
        """Report the best epoch. If a baseline follows, which takes as long as the run, save a checkpoint first."""
        if self._record.facts["recipe"]["baseline"] != "none" and not self._record.facts["recipe"]["shard"]:
            self._saver.save()
        best = self._record.facts["best"]
        kept = "last" if self._fold else "best"
        self._progress.say(f"{kept}: epoch {best['epoch']}, validation accuracy {best['val_accuracy']:.3f}")

    def read_best(self) -> Mapping[str, Tensor]:
        """Read the tensors of the best model from its file."""
        return read_tensors(self._record.folder.path / MODEL)

    def on_evaluated(self, split: str, score: Score, probabilities: Tensor) -> None:
        """Record the test metrics, and the predictions."""
        self._record.keep_predictions(probabilities, self._images, split)
        if split == "test":
            metrics = self._record.measure(probabilities, self._images, "test")
            self._record.facts["test"] = {"loss": finite_or_none(score.loss), **metrics}


@contextmanager
def recording(plan: Plan, state: TrainingState, record: Record | None, progress: Progress) -> Iterator[Callbacks]:
    """Yield the callbacks of this process. Only the first process has a record.

    After an exception, the best model and, if possible, a checkpoint are written before the exception propagates.
    """
    model = plan.network.model
    if record is None:
        every = plan.phases[0].saves_every
        yield ShardCallbacks(state, every) if every and is_sharded(model) else Callbacks()
        return
    best_model = BestModel(record.folder, make_header(plan.network, plan.images.classes))
    saver = Checkpointer(state, record, best_model, progress)
    try:
        try:
            yield RunCallbacks(record, plan.images, best_model, saver, progress)
        finally:
            best_model.flush()
    except FrozenMoved:
        # The model cannot be trusted, so everything that could be used by accident is removed.
        (record.folder.path / MODEL).unlink()
        remove_states(record.folder)
        raise
    except (KeyboardInterrupt, NotFinite, NotEnoughMemory, DataError, PeerError) as error:
        # After these errors, the state is intact. Any other error may have damaged it.
        saver.on_interrupt(error)
        _report_kept(record, progress)
        raise
    except TrainingError:
        _report_kept(record, progress)
        raise


def _report_kept(record: Record, progress: Progress) -> None:
    """Report where the best model is, if an epoch was completed."""
    if (path := record.folder.path / MODEL).exists():
        progress.say(f"{path} is the model of the best epoch so far")
