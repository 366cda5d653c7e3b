"""The values that report.html.jinja displays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.examination.kinds import KINDS
from zoo.data.examination.summary import list_warnings
from zoo.registry.license import describe_license
from zoo.runs.command_line import build_command
from zoo.runs.confusion import list_entries
from zoo.runs.report.chart import Chart
from zoo.runs.report.numbers import measure_interval, show_seconds

if TYPE_CHECKING:
    from zoo.runs.report.pictures import Pictures


class Confusion(NamedTuple):
    """The number of times that one class was predicted as another."""

    mistakes: int
    #: Number of images of the true class.
    images: int
    truth: str
    predicted: str


def make_context(
    facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]], pictures: Pictures | None = None
) -> dict[str, Any]:
    """Return the values of the template by name.

    Args:
        facts: Content of run.json.
        history: Content of history.jsonl, at least one epoch.
        pictures: Pictures of the page.
    """
    asked, weights = facts["data"]["asked"], dict(facts["weights"])
    license_ = weights.pop("license")
    warning = describe_license(f"{facts['backbone']}@{weights['label']}", license_) if license_ else None
    return {
        "facts": facts,
        "history": history,
        "title": f"{facts['backbone'].rpartition('/')[2]} on {Path(asked).name or asked}",
        "command": build_command(facts),
        "pictures": pictures,
        "started": f"{datetime.fromisoformat(facts['started']):%Y-%m-%d %H:%M %Z}",
        "charts": make_charts(facts["best"]["epoch"], history),
        "results": {split: _summarize(facts[split]) for split in ("val", "test") if facts.get(split)},
        "warnings": {
            split: list_warnings(facts["data"].get("findings", ()), split) for split in ("train", "val", "test")
        },
        "kinds": {kind.code: kind.meaning for kind in KINDS},
        "reasons": Counter(file["reason"] for file in facts["data"]["left_out"]).most_common(),
        "environment": {
            "Weights": {
                "backbone": facts["backbone"],
                "initial weights": weights.pop("label"),
                **weights,
                "license": license_,
                **({"warning": f"⚠ {warning}"} if warning else {}),
            },
            "Model input": {key: value for key, value in facts["input"].items() if value is not None},
            "Hardware": {**facts["hardware"], "time": show_seconds(facts["seconds"]), "started": facts["started"]},
            "Versions": facts["versions"],
        },
    }


def list_confusions(metrics: Mapping[str, Any]) -> list[Confusion]:
    """List the pairs of classes that were confused, the most frequent first."""
    classes = list(metrics["per_class"])
    entries = list_entries(metrics["confusion"])
    images = Counter[int]()
    for truth, _, count in entries:
        images[truth] += count
    confusions = [
        Confusion(count, images[truth], classes[truth], classes[predicted])
        for truth, predicted, count in entries
        if truth != predicted
    ]
    return sorted(confusions, key=lambda item: (-item.mistakes, *item[1:]))


def make_charts(best: int, history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return the charts of the loss and of the accuracy."""
    epochs = [line["epoch"] for line in history]
    losses = [[line[f"{split}_loss"] for line in history] for split in ("train", "val")]
    percents = [[100 * line[f"{split}_accuracy"] for line in history] for split in ("train", "val")]
    return [
        Chart("Loss", epochs, losses[0], losses[1], best),
        Chart("Accuracy", epochs, percents[0], percents[1], best, unit="%", upper_bound=100.0),
    ]


def _summarize(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the page displays for one split."""
    images, classes, confusion = metrics["images"], metrics["per_class"], metrics["confusion"]
    correct = sum(count for truth, predicted, count in list_entries(confusion) if truth == predicted)
    common = max(classes, key=lambda name: classes[name]["images"])
    return {
        "accuracy": metrics["accuracy"],
        "images": images,
        "correct": correct,
        "interval": measure_interval(correct, images),
        "common": common,
        "guess": classes[common]["images"] / images if images else 0.0,
        "classes": list(classes),
        "matrix": [] if isinstance(confusion, Mapping) else _label_rows(classes, confusion),
        "confusions": list_confusions(metrics),
        "balanced_accuracy": metrics.get("balanced_accuracy"),
        "calibration": metrics.get("calibration"),
        "per_class": sorted((_summarize_class(*item) for item in classes.items()), key=lambda row: row["order"]),
    }


def _label_rows(classes: Iterable[str], confusion: Sequence[Sequence[int]]) -> list[tuple[str, Sequence[int], int]]:
    return [(name, row, sum(row)) for name, row in zip(classes, confusion, strict=True)]


def _summarize_class(name: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for one class. ``order`` sorts by recall, the lowest first and classes without images last."""
    images, recall = metrics["images"], metrics["recall"]
    interval = "—" if recall is None else measure_interval(round(recall * images), images)
    return {"name": name, "f1": None, **metrics, "interval": interval, "order": 2 if recall is None else recall}
