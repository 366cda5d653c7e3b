"""Runs side by side: how good, how sure, how long, how large. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.runs.folder import MODEL, RUN, RunFolder
from zoo.runs.report.numbers import measure_interval

#: What is compared, the better evidence first: nothing was chosen by the test images.
SPLITS = ("test", "val")


@dataclass(frozen=True)
class Compared:
    """What a run came to."""

    run: str
    backbone: str
    train: str
    #: On the images of ``split``, and where the truth lies 19 times of 20.
    accuracy: float
    low: float
    high: float
    split: str
    images: int
    epochs: int
    seconds: float
    params: int
    #: How many of them learned.
    learning: int
    #: Of the model's file.
    bytes: int
    #: By how much it is better than the same network from random weights, if that was measured.
    gain: float | None
    #: Of the data.
    fingerprint: str


def compare_runs(runs: Iterable[str | Path]) -> list[Compared]:
    """Return what runs came to, the most accurate first; by the test images where all of them have some.

    Raises:
        RunError: one is no finished run.
    """
    folders = [(str(run), RunFolder.open(Path(run))) for run in runs]
    found = [(run, folder.read_json(RUN)) for run, folder in folders]
    split = next(split for split in SPLITS if all(facts.get(split) for _, facts in found) or split == SPLITS[-1])
    compared = []
    for run, facts in found:
        try:
            compared.append(_compare(run, facts, split))
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{run} is no run of this version of zoo, or not whole: {error!r}.") from error
    return sorted(compared, key=lambda one: (-one.accuracy, one.seconds))


def find_doubts(compared: Sequence[Compared]) -> list[str]:
    """Say why figures may not be comparable, and which differences may be chance."""
    doubts = []
    if len({one.fingerprint for one in compared}) > 1:
        doubts.append("these runs did not see the same images: their accuracies do not compare")
    best, *others = compared
    unsure = [one.run for one in others if one.high >= best.low]
    if unsure:
        doubts.append(f"the intervals of {best.run} and {', '.join(unsure)} overlap: the difference may be chance")
    return doubts


def _compare(run: str, facts: dict[str, Any], split: str) -> Compared:
    measured = facts[split]
    right = sum(row[index] for index, row in enumerate(measured["confusion"]))
    interval = measure_interval(right, measured["images"])
    return Compared(
        run=run,
        backbone=facts["backbone"],
        train=facts["recipe"]["train"],
        accuracy=measured["accuracy"],
        low=interval.low,
        high=interval.high,
        split=split,
        images=measured["images"],
        epochs=facts["epochs"],
        seconds=facts["seconds"],
        params=facts["params"]["total"],
        learning=facts["params"]["learning"],
        bytes=(RunFolder.open(Path(run)).path / MODEL).stat().st_size,
        gain=facts["baseline"]["gain"] if facts.get("baseline") else None,
        fingerprint=facts["data"]["fingerprint"],
    )
