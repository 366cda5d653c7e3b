"""Comparison of runs by accuracy, time and size. This module never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.examination.summary import list_pooled_warnings, list_warnings
from zoo.errors import RunError
from zoo.files.metrics_schema import PredictionLine
from zoo.files.paths import accessing, expand_user
from zoo.files.schema import Run
from zoo.runs.confusion import is_consistent
from zoo.runs.fold_folders import FOLDS, list_fold_folders
from zoo.runs.folder import MODEL, PREDICTIONS, RUN, RunFolder
from zoo.runs.report.numbers import measure_difference, measure_interval

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
    #: Number of folds if this is a cross-validation, whose accuracy is that of all out-of-fold predictions; else None.
    folds: int | None
    #: Why the accuracy may be wrong, such as copies of training images.
    warnings: tuple[str, ...]


def compare_runs(runs: Iterable[str | Path]) -> list[Compared]:
    """Return the results of runs and cross-validations, most accurate first.

    The results are for the test images if all runs have test images, else for the validation images.

    Raises:
        RunError: If one of them is not finished, or its numbers contradict each other.
    """
    folders = [(str(run), _open(Path(run))) for run in runs]
    found = [(run, [_read(folder) for folder in opened]) for run, opened in folders]
    for (_, opened), (run, each) in zip(folders, found, strict=True):
        if opened[0].path.parent == expand_user(Path(run)):
            _require_all_folds(opened[0].path.parent, each)
    every = [facts for _, each in found for facts in each]
    split = next(split for split in SPLITS if all(facts.get(split) for facts in every) or split == SPLITS[-1])
    compared = [
        _compare(run, each, split, (opened[0].path / MODEL).stat().st_size)
        for (run, opened), (_, each) in zip(folders, found, strict=True)
    ]
    return sorted(compared, key=lambda one: (-one.accuracy, one.seconds))


def _open(path: Path) -> list[RunFolder]:
    """Return the folder of a run, or the run folders of a cross-validation."""
    path = expand_user(path)
    with accessing(path, RunError, "pass the folder that `zoo finetune` printed last"):
        folds = [] if (path / MODEL).is_file() else list_fold_folders(path)
        if folds and not (path / FOLDS).is_file():
            raise RunError(f"{path} is a cross-validation that is not finished; resume it, or pass one of its folds.")
    return [RunFolder.open(fold) for fold in folds or [path]]


def _read(folder: RunFolder) -> Run:
    facts = folder.read_json(RUN, Run)
    measured = [metrics for metrics in (facts["val"], facts.get("test")) if metrics]
    are_possible = facts["best"]["epoch"] <= facts["epochs"] and facts["params"]["learning"] <= facts["params"]["total"]
    if not are_possible or not all(is_consistent(metrics, facts["classes"]) for metrics in measured):
        raise RunError(
            f"{folder.path / RUN} is damaged, or was changed by hand: its numbers contradict each other; train again."
        )
    return facts


def _require_all_folds(path: Path, each: Sequence[Run]) -> None:
    """Raise an error if the folds in a folder are not all folds of one cross-validation."""
    expected = [f"{number}/{len(each)}" for number in range(1, len(each) + 1)]
    if [facts["recipe"].get("fold") for facts in each] != expected:
        raise RunError(
            f"{path} does not contain all folds of one cross-validation, or contains others as well; resume it, or "
            "pass one of its folds."
        )


def list_doubts(compared: Sequence[Compared]) -> list[str]:
    """Return what to know about a comparison: folds, problems of the data, different data, and chance."""
    doubts = [
        f"{one.run} is a cross-validation of {one.folds} folds, so its accuracy is out-of-fold, and its time is that "
        "of all folds"
        for one in compared
        if one.folds
    ]
    doubts += [f"{one.run}: {warning}" for one in compared for warning in one.warnings]
    if len({one.fingerprint for one in compared}) > 1:
        doubts.append("these runs used different images, so their accuracies are not comparable")
    best, close = compared[0].run, find_close(compared)
    if paired := [run for run, is_paired in close.items() if is_paired]:
        doubts.append(
            f"{best} and {', '.join(paired)} classify too few images differently, so the difference may be due to"
            " chance"
        )
    if unpaired := [run for run, is_paired in close.items() if not is_paired]:
        doubts.append(
            f"the confidence intervals of {best} and {', '.join(unpaired)} overlap, so the difference may be due to"
            " chance"
        )
    return doubts


def find_close(compared: Sequence[Compared]) -> dict[str, bool]:
    """Return the runs whose accuracy may differ from that of the first, best run by chance.

    Returns:
        For each of these runs, whether the predictions for the same images show this. If a run has no predictions, or
        those of different images, the confidence intervals of both accuracies overlap.

    Raises:
        RunError: If predictions are damaged.
    """
    best, *others = compared
    reference = _read_correct(best) if others else {}
    close = {}
    for other in others:
        found = _read_correct(other)
        is_paired = bool(reference) and found.keys() == reference.keys()
        if is_paired:
            wins = sum(is_correct and not found[image] for image, is_correct in reference.items())
            losses = sum(is_correct and not reference[image] for image, is_correct in found.items())
            is_close = measure_difference(wins, losses, len(found)).low <= 0
        else:
            is_close = other.high >= best.low
        if is_close:
            close[other.run] = is_paired
    return close


def _read_correct(one: Compared) -> dict[tuple[int, str], bool]:
    """Return whether each image, by fold and path, was classified correctly; empty if a folder has no predictions."""
    folders = _open(Path(one.run))
    if not all((folder.path / PREDICTIONS).exists() for folder in folders):
        return {}
    return {
        (number, line["path"]): line["label"] == line["predicted"]
        for number, folder in enumerate(folders)
        for line in folder.read_lines(PREDICTIONS, PredictionLine)
        if line["split"] == one.split
    }


def _compare(run: str, each: Sequence[Mapping[str, Any]], split: str, size: int) -> Compared:
    """Combine the facts of a run, or of the runs of all folds; ``size`` is that of a model file in bytes."""
    facts, measured = each[0], [facts[split] for facts in each]
    correct = sum(round(metrics["accuracy"] * metrics["images"]) for metrics in measured)
    images = sum(metrics["images"] for metrics in measured)
    interval = measure_interval(correct, images)
    findings = [facts["data"].get("findings", ()) for facts in each]
    warnings = list_warnings(findings[0], split) if len(each) == 1 else list_pooled_warnings(findings)
    return Compared(
        run=run,
        backbone=facts["backbone"],
        train=facts["recipe"]["train"],
        accuracy=measured[0]["accuracy"] if len(each) == 1 else correct / images,
        low=interval.low,
        high=interval.high,
        split=split,
        images=images,
        epochs=facts["epochs"],
        seconds=round(sum(facts["seconds"] for facts in each), 3),
        params=facts["params"]["total"],
        learning=facts["params"]["learning"],
        bytes=size,
        gain=_read_gain(facts, split) if len(each) == 1 else None,
        # The first fold determines all others, so two cross-validations with the same folds have the same fingerprint.
        fingerprint=facts["data"]["fingerprint"],
        folds=len(each) if len(each) > 1 else None,
        warnings=tuple(warnings),
    )


def _read_gain(facts: Mapping[str, Any], split: str) -> float | None:
    """Return the gain over the baseline if it was measured on the images of this split."""
    baseline = facts.get("baseline")
    return baseline["gain"] if baseline and baseline["split"] == split else None
