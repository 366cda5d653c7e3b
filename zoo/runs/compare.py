"""Comparison of runs by accuracy, time and size. This module never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.examination.summary import list_warnings
from zoo.errors import RunError
from zoo.files.schema import Run
from zoo.runs.confusion import is_consistent
from zoo.runs.folder import MODEL, RUN, RunFolder
from zoo.runs.report.numbers import measure_interval

#: Splits to compare runs on, in order of preference. The test images come first, because the validation images were
#: used to choose the best epoch.
SPLITS = ("test", "val")


@dataclass(frozen=True)
class Compared:
    """The results of a run."""

    #: Run folder, as the caller passed it.
    run: str
    backbone: str
    train: str
    #: Accuracy on the images of ``split``, and its 95% confidence interval.
    accuracy: float
    low: float
    high: float
    split: str
    images: int
    epochs: int
    seconds: float
    #: Number of parameters, and how many of them were trained.
    params: int
    learning: int
    #: Size of model.safetensors in bytes.
    bytes: int
    #: Accuracy minus the accuracy of the same network trained from random weights; None without such a baseline.
    gain: float | None
    #: SHA-256 of the data in hex.
    fingerprint: str
    #: Why the accuracy may be wrong, such as copies of training images.
    warnings: tuple[str, ...]


def compare_runs(runs: Iterable[str | Path]) -> list[Compared]:
    """Return the results of runs, most accurate first.

    The results are for the test images if all runs have test images, else for the validation images.

    Raises:
        RunError: If one of them is not a finished run, or its numbers contradict each other.
    """
    folders = [(str(run), RunFolder.open(Path(run))) for run in runs]
    found = [(run, _read(folder)) for run, folder in folders]
    split = next(split for split in SPLITS if all(facts.get(split) for _, facts in found) or split == SPLITS[-1])
    compared = [_compare(run, facts, split) for run, facts in found]
    return sorted(compared, key=lambda one: (-one.accuracy, one.seconds))


def _read(folder: RunFolder) -> Run:
    facts = folder.read_json(RUN, Run)
    measured = [metrics for metrics in (facts["val"], facts.get("test")) if metrics]
    are_possible = facts["best"]["epoch"] <= facts["epochs"] and facts["params"]["learning"] <= facts["params"]["total"]
    if not are_possible or not all(is_consistent(metrics, facts["classes"]) for metrics in measured):
        raise RunError(
            f"{folder.path / RUN} is damaged, or was changed by hand: its numbers contradict each other; train again."
        )
    return facts


def list_doubts(compared: Sequence[Compared]) -> list[str]:
    """Return what makes a comparison doubtful: problems of the data, different data, and differences due to chance."""
    doubts = [f"{one.run}: {warning}" for one in compared for warning in one.warnings]
    if len({one.fingerprint for one in compared}) > 1:
        doubts.append("these runs used different images, so their accuracies are not comparable")
    best, *others = compared
    close = [one.run for one in others if one.high >= best.low]
    if close:
        doubts.append(
            f"the confidence intervals of {best.run} and {', '.join(close)} overlap, so the difference may be due to"
            " chance"
        )
    return doubts


def _compare(run: str, facts: Mapping[str, Any], split: str) -> Compared:
    measured = facts[split]
    interval = measure_interval(round(measured["accuracy"] * measured["images"]), measured["images"])
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
        gain=_read_gain(facts, split),
        fingerprint=facts["data"]["fingerprint"],
        warnings=tuple(list_warnings(facts["data"].get("findings", ()), split)),
    )


def _read_gain(facts: Mapping[str, Any], split: str) -> float | None:
    """Return the gain over the baseline if it was measured on the images of this split."""
    baseline = facts.get("baseline")
    return baseline["gain"] if baseline and baseline["split"] == split else None
