"""Save checkpoints of a run at intervals and when the run is interrupted."""

from __future__ import annotations

import time

from zoo.engine.interrupts import deferring_signals
from zoo.engine.state import Checkpoint, TrainingState
from zoo.errors import NotFinite, TrainingError
from zoo.models.sharding import is_sharded
from zoo.progress import Progress
from zoo.runs.best_model import BestModel
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.folder import CHECKPOINTS
from zoo.runs.record import Record

#: Seconds between two checkpoints, unless the recipe sets a number of steps.
INTERVAL = 300.0
#: Minimum number of seconds of training per second of saving.
SHARE = 20
#: Version of the checkpoint format.
FORMAT = 1


class Checkpointer:
    """The part of a run that saves checkpoints at intervals and when the run is interrupted."""

    def __init__(self, state: TrainingState, record: Record, best_model: BestModel, progress: Progress) -> None:
        self._state = state
        self._record = record
        self._best_model = best_model
        self._progress = progress
        self._every: int | None = record.facts["recipe"]["save_every"]
        self._checkpoints = Checkpoints(record.folder.path / CHECKPOINTS)
        self._due = time.monotonic() + INTERVAL
        #: Number of steps and epochs of the newest checkpoint, which does not have to be written twice.
        self._last = (state.batches, len(state.history)) if state.saved else None

    def on_interrupt(self, error: BaseException) -> None:
        """Save a checkpoint after an error that left the last step intact, and report how to resume."""
        if self._state.learner is None:
            return
        if is_sharded(self._state.model):
            self._progress.say("run the same command with `resume` to continue from the last checkpoint")
            return
        try:
            self.save()
        except TrainingError as reason:
            self._progress.say(f"warning: no checkpoint was saved: {reason}")
            return
        steps = f"{self._state.batches} step{'s' * (self._state.batches != 1)}"
        how = "" if isinstance(error, NotFinite) else "; run the same command with `resume` to continue"
        self._progress.say(f"checkpoint saved in {self._record.folder.path} after {steps}{how}")

    def on_step(self) -> None:
        """Save a checkpoint if one is due.

        Raises:
            RunError: If the disk is full or the folder is gone.
            TrainingError: If a weight or a batch norm statistic is not finite.
        """
        is_due = time.monotonic() >= self._due if self._every is None else self._state.batches % self._every == 0
        if is_due:
            self.save()

    # If a signal interrupted this method, the same checkpoint would be saved again over the unfinished one.
    @deferring_signals()
    def save(self) -> None:
        """Save a checkpoint, unless the newest one is up to date.

        Raises:
            RunError: If the disk is full or the folder is gone.
            TrainingError: If a weight or a batch norm statistic is not finite. The earlier checkpoints are kept.
        """
        state = self._state
        where = (state.batches, len(state.history))
        if where == self._last:
            return
        started = time.monotonic()
        state.require_finite()
        self._best_model.flush()  # The checkpoint records the best epoch, so the best model must be on disk.
        captured = state.capture()
        run = {**self._record.facts, "seconds": self._record.count_seconds()}
        self._checkpoints.save(
            # The end of an epoch counts as a step. Its checkpoint is therefore newer than the last step's.
            state.batches + len(state.history),
            Checkpoint(captured.tensors, {"format": FORMAT, "run": run, "state": captured.facts}),
            self._best_model.find_file(),
        )
        self._last = where
        ended = time.monotonic()
        self._due = ended + max(INTERVAL, SHARE * (ended - started))
