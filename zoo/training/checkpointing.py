"""When the state of a run is saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from zoo.engine.interrupts import undisturbed
from zoo.engine.state import Checkpoint, TrainingState
from zoo.errors import DataError, LostProcess, NotFinite, TrainingError
from zoo.models.sharding import is_sharded
from zoo.progress import Progress
from zoo.runs.best_model import BestModel
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.folder import CHECKPOINTS, MODEL
from zoo.runs.record import Record

#: Seconds between two states that are saved, unless the recipe counts steps. And of so many seconds, saving takes at
#: most one.
INTERVAL, SHARE = 300.0, 20
#: Changes whenever states are written otherwise.
FORMAT = 1


class Checkpointer:
    """Saves the state of a run now and then, and when it is interrupted."""

    def __init__(
        self,
        state: TrainingState,
        record: Record,
        best_model: BestModel,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._record = record
        self._best_model = best_model
        self._progress = progress
        self._clock = clock
        self._every: int | None = record.facts["recipe"]["save_every"]
        self._checkpoints = Checkpoints(record.folder.path / CHECKPOINTS)
        self._due = clock() + INTERVAL
        # The same state again would be other bytes under the same name.
        self._last = (state.batches, len(state.history)) if state.saved else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Of these, the step before is whole; what is wrong with others may be wrong with the state.
        if not isinstance(error, (KeyboardInterrupt, NotFinite, DataError, LostProcess)) or self._state.learner is None:
            return
        if is_sharded(self._state.model):
            self._progress.say("run the same command with `resume` to continue from the last checkpoint")
            return
        try:
            self.save()
        except TrainingError as reason:
            self._progress.say(f"warning: the state is not saved: {reason}")
            return
        steps = f"{self._state.batches} step{'s' * (self._state.batches != 1)}"
        how = "" if isinstance(error, NotFinite) else "; run the same command with `resume` to continue"
        self._progress.say(f"state saved in {self._record.folder.path} after {steps}{how}")

    def on_step(self) -> None:
        """Save the state if its time has come.

        Raises:
            RunError: the disk is full or the folder is gone.
            TrainingError: what was learned is not finite.
        """
        is_due = self._clock() >= self._due if self._every is None else self._state.batches % self._every == 0
        if is_due:
            self.save()

    @undisturbed()  # else who is interrupted here would write it again over itself
    def save(self) -> None:
        """Save the state, unless it was.

        Raises:
            RunError: the disk is full or the folder is gone.
            TrainingError: what was learned is not finite; the states that are there stay.
        """
        state = self._state
        where = (state.batches, len(state.history))
        if where == self._last:
            return
        started = self._clock()
        state.require_finite()
        self._best_model.settle()  # a state tells of a best epoch, whose model must not be lost then
        taken = state.capture()
        run = {**self._record.facts, "seconds": self._record.count_seconds()}
        best = self._record.folder.path / MODEL
        self._checkpoints.save(
            # One more for the end of an epoch: nothing is learned there, but it is later.
            state.batches + len(state.history),
            Checkpoint(taken.tensors, {"format": FORMAT, "run": run, "state": taken.facts}),
            best if best.exists() else None,
        )
        self._last = where
        ended = self._clock()
        self._due = ended + max(INTERVAL, SHARE * (ended - started))
