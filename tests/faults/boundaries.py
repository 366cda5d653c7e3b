"""Interrupts a run after each of its steps, and at odd points between them, and takes it up again.

    python tests/faults/boundaries.py [--count 128]

Every one of 24 steps and 8 other points, each with 0 and 2 threads that load images, and batches in 1 and in 3 parts.
Prints how many came to another end than the run that nobody interrupted. Exits with 1 where any did.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

from begin import Wrong, judge, parse, prepare
from toy import STEPS
from trial import Trial

from zoo.engine import loop
from zoo.engine.features.extractor import Extractor
from zoo.runs.best_model import BestModel
from zoo.training import train
from zoo.training.callbacks import RunCallbacks
from zoo.training.prepare import Plan

#: What is interrupted, where, and at which time it is called: before a phase begins, while features are computed,
#: before an epoch is written down, in the middle of measuring, before the best is written, and when all is learned.
ODD: dict[str, tuple[object, str, int]] = {
    "the first phase": (Plan, "begin", 1),
    "the third phase": (Plan, "begin", 3),
    "features": (Extractor, "compute", 1),
    "an epoch's end": (RunCallbacks, "on_epoch", 2),
    "measuring": (loop, "_predict", 4),
    "keeping the best": (BestModel, "keep", 2),
    "the last proof": (train, "_prove_frozen", 4),
    "the end": (RunCallbacks, "on_last", 1),
}


def interrupt(owner: object, name: str, time: int) -> None:
    """Interrupt, in this process, instead of the n-th call of a function."""
    function, calls = getattr(owner, name), [0]

    def call(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        if calls[0] == time:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    setattr(owner, name, call)


def interrupt_step(step: int) -> None:
    """Interrupt after a step, from 1."""
    on_step, calls = RunCallbacks.on_step, [0]

    def call(watch: RunCallbacks) -> None:
        on_step(watch)
        calls[0] += 1
        if calls[0] == step:
            raise KeyboardInterrupt

    RunCallbacks.on_step = call  # type: ignore[method-assign]


def list_points() -> dict[str, Callable[[], None]]:
    """List where to interrupt, by name."""
    steps = {f"step {step}": (lambda step=step: interrupt_step(step)) for step in range(1, STEPS + 1)}
    odd = {name: (lambda place=place: interrupt(*place)) for name, place in ODD.items()}
    return {**steps, **odd}


def interrupt_many(folder: Path, count: int) -> Wrong:
    """Return what went wrong, and how often."""
    wrong, wholes = Wrong(), {}
    places = [*product(list_points().items(), (0, 2), (1, 3))]
    random.Random(0).shuffle(places)
    for number, ((name, weaken), workers, accumulate) in enumerate(places[:count]):
        if accumulate not in wholes:
            wholes[accumulate] = prepare(folder / f"parts-{accumulate}", options={"accumulate": accumulate})
        whole, options = wholes[accumulate], {"accumulate": accumulate, "workers": workers}
        output = folder / f"run-{number}"
        code, _ = Trial(whole.photos, output, weaken, options).begin()
        again, _ = Trial(whole.photos, output, options=options).begin()
        if (code, again) != (130, 0):
            wrong.note(f"{name}: it ends with {code}, and then with {again}")
        else:
            other = whole.compare(output)
            wrong.note(other and f"{name}: {other}")
    return wrong


def main() -> int:
    """Interrupt, and print a line."""
    options = parse(__doc__ or "", count=4 * (STEPS + len(ODD)))
    return judge("", "interrupts", lambda folder: interrupt_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
