"""Runs with random combinations of options are consistent. CONTRIBUTING.md says how to train many more of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from random_options import Place, check_options
from zoo.engine.metrics import Epoch
from zoo.engine.schedule import Schedule
from zoo.engine.state import TrainingState
from zoo.training.callbacks import RunCallbacks

#: Number of combinations in the suite.
COUNT = 12
#: Number of combinations in the default tests.
FEW = 5
#: Number of combinations among which a fault must be found.
MOST = 40


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


@pytest.mark.parametrize(
    "seed", [*range(FEW), *(pytest.param(seed, marks=pytest.mark.breadth) for seed in range(FEW, COUNT))]
)
def test_a_run_with_random_options_is_consistent_or_refused(place: Place, seed: int) -> None:
    assert check_options(place, seed)


def save_raw_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the moving average, but save the weights of the last step."""
    on_epoch = RunCallbacks.on_epoch

    def restore_first(callbacks: RunCallbacks, *arguments: Any, **options: Any) -> None:
        learner = callbacks._saver._state.learner
        if learner and learner.average:
            learner.average.restore()
        on_epoch(callbacks, *arguments, **options)

    monkeypatch.setattr(RunCallbacks, "on_epoch", restore_first)


def save_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the last epoch instead of the best one."""
    monkeypatch.setattr(Epoch, "is_better_than", lambda *_: True)


def forget_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the schedule of a resumed run from the beginning."""
    restore = TrainingState._restore

    def restore_without_step(state: TrainingState, learner: Any, *arguments: Any) -> Any:
        current = restore(state, learner, *arguments)
        learner.steps = 0
        return current

    monkeypatch.setattr(TrainingState, "_restore", restore_without_step)


def raise_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train at a higher learning rate than the recorded one in the second half of the steps."""
    factor = Schedule.factor
    monkeypatch.setattr(Schedule, "factor", lambda schedule, step: factor(schedule, step) + (step > schedule.steps / 2))


@pytest.mark.parametrize(
    "fault",
    [
        save_the_last_epoch,
        *(pytest.param(fault, marks=pytest.mark.breadth) for fault in (save_raw_weights, forget_the_step)),
        raise_the_rate,
    ],
)
def test_random_options_find_a_fault(place: Place, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):  # noqa: PT012  # any of the combinations may fail
        for seed in range(MOST):
            check_options(place, seed)
