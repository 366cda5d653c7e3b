"""Interrupt a run after each step and at different points between steps, and resume it.

    python tests/faults/boundaries.py [--count 128]

The runs are interrupted after each of the 24 steps and at 8 other points, with 0 and 2 threads that load images, and
with 1 and 3 micro-batches per batch. Prints the number of runs whose results differ from the reference run. Exits with
1 if there are any.
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

#: Functions that are interrupted, each with the number of the call, by the name of the point.
OTHER_POINTS: dict[str, tuple[object, str, int]] = {
    "the first phase": (Plan, "begin", 1),
    "the third phase": (Plan, "begin", 3),
    "features": (Extractor, "compute", 1),
    "an epoch's end": (RunCallbacks, "on_epoch", 2),
    "evaluation": (loop, "_predict", 4),
    "saving the best model": (BestModel, "keep", 2),
    "the last check of frozen parameters": (train, "_verify_frozen", 4),
    "the end": (RunCallbacks, "on_last", 1),
}


def interrupt(owner: object, name: str, number: int) -> None:
    """Raise KeyboardInterrupt instead of the ``number``-th call of a function."""
    function, calls = getattr(owner, name), [0]

    def call(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        if calls[0] == number:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    setattr(owner, name, call)


def interrupt_step(step: int) -> None:
    """Raise KeyboardInterrupt after a step; the first step is 1."""
    on_step, calls = RunCallbacks.on_step, [0]

    def call(callbacks: RunCallbacks) -> None:
        on_step(callbacks)
        calls[0] += 1
        if calls[0] == step:
            raise KeyboardInterrupt

    RunCallbacks.on_step = call  # type: ignore[method-assign]


def list_points() -> dict[str, Callable[[], None]]:
    """Return functions that prepare an interruption, by the name of the point."""
    steps = {f"step {step}": (lambda step=step: interrupt_step(step)) for step in range(1, STEPS + 1)}
    other = {name: (lambda place=place: interrupt(*place)) for name, place in OTHER_POINTS.items()}
    return {**steps, **other}


def interrupt_many(folder: Path, count: int) -> Failures:
    """Interrupt and resume ``count`` runs. Return the failures."""
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
            failures.note(f"{name}: exit code {code}, then {again} after resuming")
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
