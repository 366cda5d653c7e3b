"""Interrupts a run after each step and at other points between steps, and resumes it.

    python tests/faults/boundaries.py [--count 128]

The points are all 24 steps and 8 others, each with 0 and 2 threads that load images, and with batches in 1 and in 3
parts. Prints how many runs ended differently from the reference run. Exits with 1 if any did.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

from begin import Failures, judge, parse, prepare
from toy import STEPS
from trial import Trial

from zoo.engine import loop
from zoo.engine.features.extractor import Extractor
from zoo.runs.best_model import BestModel
from zoo.training import train
from zoo.training.callbacks import RunCallbacks
from zoo.training.prepare import Plan

#: The functions that are interrupted and the number of the call: before a phase begins, while features are computed,
#: before an epoch is recorded, during evaluation, before the best model is written, and after training.
OTHER_POINTS: dict[str, tuple[object, str, int]] = {
    "the first phase": (Plan, "begin", 1),
    "the third phase": (Plan, "begin", 3),
    "features": (Extractor, "compute", 1),
    "an epoch's end": (RunCallbacks, "on_epoch", 2),
    "evaluation": (loop, "_predict", 4),
    "saving the best model": (BestModel, "keep", 2),
    "the last check of frozen parameters": (train, "_prove_frozen", 4),
    "the end": (RunCallbacks, "on_last", 1),
}


def interrupt(owner: object, name: str, time: int) -> None:
    """Interrupt this process instead of the n-th call of a function."""
    function, calls = getattr(owner, name), [0]

    def call(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        if calls[0] == time:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    setattr(owner, name, call)


def interrupt_step(step: int) -> None:
    """Interrupt after a step, counted from 1."""
    on_step, calls = RunCallbacks.on_step, [0]

    def call(watch: RunCallbacks) -> None:
        on_step(watch)
        calls[0] += 1
        if calls[0] == step:
            raise KeyboardInterrupt

    RunCallbacks.on_step = call  # type: ignore[method-assign]


def list_points() -> dict[str, Callable[[], None]]:
    """List the interruptions by name."""
    steps = {f"step {step}": (lambda step=step: interrupt_step(step)) for step in range(1, STEPS + 1)}
    other = {name: (lambda place=place: interrupt(*place)) for name, place in OTHER_POINTS.items()}
    return {**steps, **other}


def interrupt_many(folder: Path, count: int) -> Failures:
    """Return the failures and their number."""
    failures, references = Failures(), {}
    places = [*product(list_points().items(), (0, 2), (1, 3))]
    random.Random(0).shuffle(places)
    for number, ((name, weaken), workers, accumulate) in enumerate(places[:count]):
        if accumulate not in references:
            references[accumulate] = prepare(folder / f"parts-{accumulate}", options={"accumulate": accumulate})
        reference, options = references[accumulate], {"accumulate": accumulate, "workers": workers}
        output = folder / f"run-{number}"
        code, _ = Trial(reference.photos, output, weaken, options).begin()
        again, _ = Trial(reference.photos, output, options=options).begin()
        if (code, again) != (130, 0):
            failures.note(f"{name}: it ends with {code}, and then with {again}")
        else:
            other = reference.compare(output)
            failures.note(other and f"{name}: {other}")
    return failures


def main() -> int:
    """Interrupt runs and print a summary."""
    options = parse(__doc__ or "", count=4 * (STEPS + len(OTHER_POINTS)))
    return judge("", "interrupts", lambda folder: interrupt_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
