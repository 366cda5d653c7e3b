"""The summary of a cross-validation: the accuracy of each fold, their mean and spread, and out-of-fold metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from zoo.data.examination.summary import list_pooled_warnings
from zoo.engine.metrics import measure_predicted
from zoo.errors import RunError
from zoo.files.schema import Epoch
from zoo.runs.confusion import list_entries
from zoo.runs.fold_folders import FOLDS, OUT_OF_FOLD, name_fold
from zoo.runs.folder import HISTORY, RunFolder
from zoo.runs.out_of_fold import format_header
from zoo.runs.report.numbers import Interval, measure_interval


def write_summary(folder: RunFolder, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write folds.json and predictions.csv, and return the content of folds.json.

    Args:
        folder: Folder of the cross-validation.
        runs: The run.json of each fold.

    Raises:
        RunError: If a file of a fold cannot be read, or a file cannot be written.
    """
    folds = [RunFolder(folder.path / name_fold(number)) for number in range(1, len(runs) + 1)]
    facts = summarize_folds(runs, [fold.read_lines(HISTORY, Epoch) for fold in folds])
    header = format_header(runs[0]["classes"])
    rows = (_read_text(fold.path / OUT_OF_FOLD).removeprefix(header) for fold in folds)
    folder.write_text(OUT_OF_FOLD, header + "".join(rows))
    folder.write_json(FOLDS, facts)  # This marks the cross-validation as finished.
    return facts


def summarize_folds(runs: Sequence[Mapping[str, Any]], histories: Iterable[Sequence[Epoch]]) -> dict[str, Any]:
    """Return the content of folds.json.

    Args:
        runs: The run.json of each fold.
        histories: The history of each fold, epoch by epoch.
    """
    first = runs[0]
    metrics = _pool(runs)
    interval = measure_out_of_fold(metrics)
    recipe = {name: value for name, value in first["recipe"].items() if name != "fold"}
    return {
        "backbone": first["backbone"],
        "weights": first["weights"]["label"],
        "classes": first["classes"],
        "data": first["data"]["asked"],
        "recipe": recipe,
        "folds": [_describe_fold(number, run) for number, run in enumerate(runs, 1)],
        **_describe_spread([run["val"]["accuracy"] for run in runs]),
        "out_of_fold": {"low": interval.low, "high": interval.high, **metrics},
        "warnings": list_pooled_warnings(run["data"].get("findings", ()) for run in runs),
        "epochs": [
            {"epoch": epochs[0]["epoch"], **_describe_spread([epoch["val_accuracy"] for epoch in epochs])}
            for epochs in zip(*histories, strict=True)
        ],
    }


def measure_out_of_fold(metrics: Mapping[str, Any]) -> Interval:
    """Return the 95% confidence interval of the accuracy over the out-of-fold predictions."""
    return measure_interval(round(metrics["accuracy"] * metrics["images"]), metrics["images"])


def _describe_fold(number: int, run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fold": number,
        "path": name_fold(number),
        "train": run["data"]["images"]["train"],
        "val": run["val"]["images"],
        "accuracy": run["val"]["accuracy"],
        "loss": run["best"]["val_loss"],
    }


def _describe_spread(accuracies: Sequence[float]) -> dict[str, float]:
    """Return the mean of the accuracies, and their standard deviation with the denominator N - 1."""
    return {"mean": fmean(accuracies), "std": stdev(accuracies)}


def _pool(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of the predictions of all folds together."""
    labels: list[int] = []
    predictions: list[int] = []
    for run in runs:
        for label, predicted, images in list_entries(run["val"]["confusion"]):
            labels += [label] * images
            predictions += [predicted] * images
    return measure_predicted(torch.tensor(predictions, dtype=torch.int64), labels, runs[0]["classes"])


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise RunError(f"{path} cannot be read: {error}; remove the folder of the fold to train it again.") from error
