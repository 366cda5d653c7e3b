"""What is kept of a run while it trains: its epochs, the best model, its state. The first process keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.engine.loop import Score, finite_or_none
from zoo.engine.metrics import Epoch
from zoo.engine.state import TrainingState
from zoo.models.sharding import contribute
from zoo.progress import Progress
from zoo.runs.best_model import BestModel
from zoo.runs.folder import MODEL
from zoo.runs.model_file import Header, read_tensors
from zoo.runs.record import Record, measure_split
from zoo.training.checkpointing import Checkpointer
from zoo.training.resume import remove_states


class Callbacks:
    """Told how a run goes, and keeps nothing: what all processes but the first have."""

    def on_step(self) -> None:
        """Told after each step."""

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        """Told of each epoch, of the probabilities (N, classes) for the validation images, and whose they are."""

    def on_phase(self, proof: str) -> None:
        """Told at the end of a phase of the digest of what was frozen in it."""

    def on_moved(self) -> None:
        """Told that something frozen has moved: nothing of the run can be trusted."""

    def on_last(self) -> None:
        """Told that nothing is left to learn."""

    def read_best(self) -> Mapping[str, Tensor]:
        """Return the tensors of the best model, where they are kept."""
        return {}

    def on_test(self, score: Score, probabilities: Tensor) -> None:
        """Told what the best model made of the test images: the probabilities are of shape (N, classes)."""


class ShardCallbacks(Callbacks):
    """Gives the first process this one's part of a network that is divided, whenever it writes it down."""

    def __init__(self, state: TrainingState, every: int) -> None:
        self._state = state
        self._every = every

    def on_step(self) -> None:
        """Give its part of the state, if its time has come."""
        if self._state.batches % self._every == 0:
            self._state.contribute()

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:  # noqa: ARG002
        """Give its part of the best model."""
        if is_best:
            contribute(model.state_dict().values())


class RunCallbacks(Callbacks):
    """Keeps a run in its folder."""

    def __init__(
        self, record: Record, images: Images, best_model: BestModel, saver: Checkpointer, progress: Progress
    ) -> None:
        self._record = record
        self._images = images
        self._best_model = best_model
        self._saver = saver
        self._progress = progress

    def on_step(self) -> None:
        """Save the state if its time has come."""
        self._saver.on_step()

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        """Write the epoch's line, and keep its model if it is the best."""
        if is_best:
            self._best_model.keep(model)
            self._record.note_best(epoch, measure_split(probabilities, self._images, "val"))
        else:
            self._best_model.go_on()
        self._record.add(epoch)  # last, for it tells plugins, which may raise

    def on_phase(self, proof: str) -> None:
        """Write the best model, and note the proof."""
        self._best_model.settle()
        self._record.facts["frozen"]["after"] = proof

    def on_moved(self) -> None:
        """Remove the model: nobody should use it by accident."""
        self._best_model.settle()
        (self._record.folder.path / MODEL).unlink()
        remove_states(self._record.folder)

    def on_last(self) -> None:
        """Say which epoch was the best; save the state where a baseline follows, which takes as long again."""
        if self._record.facts["recipe"]["baseline"] != "none" and not self._record.facts["recipe"]["shard"]:
            self._saver.save()
        best = self._record.facts["best"]
        self._progress.say(f"best: epoch {best['epoch']}, validation accuracy {best['val_accuracy']:.3f}")

    def read_best(self) -> Mapping[str, Tensor]:
        """Return the tensors of the best model from their file."""
        return read_tensors(self._record.folder.path / MODEL)

    def on_test(self, score: Score, probabilities: Tensor) -> None:
        """Note it."""
        figures = measure_split(probabilities, self._images, "test")
        self._record.facts["test"] = {"loss": finite_or_none(score.loss), **figures}


@contextmanager
def recording(
    record: Record, images: Images, header: Header, state: TrainingState, progress: Progress
) -> Iterator[RunCallbacks]:
    """Keep a run until the block is over; what interrupts it, the best model and the state are written first."""
    best_model = BestModel(record.folder, header)
    saver = Checkpointer(state, record, best_model, progress)
    with saver, best_model:
        yield RunCallbacks(record, images, best_model, saver, progress)
