"""What learnt, what was frozen, and how it went epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.runs.report.chart import Chart, Curve, draw_chart
from zoo.runs.report.html import Html, fold, note, pairs, section, table, tag
from zoo.runs.report.numbers import show_percent, show_seconds


def describe_parts(facts: Mapping[str, Any]) -> Html:
    """Show the blocks from input to output, which of them learnt, and the proof that the others did not."""
    params = facts["params"]
    share = show_percent(params["learning"] / params["total"]) if params["total"] else "none"
    size = " x ".join(str(side) for side in facts["input"]["size"])
    boxes = [
        _box("image", size, "end"),
        *(_box(block["name"], *_state(learns=block["learns"])) for block in facts["blocks"]),
        _box(f"head ({facts['recipe']['head']})", *_state(learns=True)),
        _box("classes", str(len(facts["classes"])), "end"),
    ]
    return section(
        "What learnt",
        tag("p", f"{params['learning']:,} of {params['total']:,} parameters learnt ({share})."),
        tag("ol", *boxes, class_="blocks"),
        _prove_frozen(facts),
    )


def describe_epochs(facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Html:
    """Show loss and accuracy of each epoch, as curves and as numbers."""
    charts = [_chart("Loss", "loss", facts, history), _chart("Accuracy", "accuracy", facts, history)]
    figures = [tag("figure", tag("figcaption", chart.measure), draw_chart(chart)) for chart in charts]
    return section(
        "How it learnt",
        tag("div", *figures, class_="columns"),
        note(_advise(facts["best"]["epoch"], len(history)), " ", _AUGMENTED),
        fold("All epochs in numbers", _list_epochs(facts["best"]["epoch"], history)),
    )


_AUGMENTED = (
    "Training figures are taken while the network still learns, from images as augmentation leaves them; "
    "validation comes after, from images as they are. So training may look the worse of the two."
)


def _state(*, learns: bool) -> tuple[str, str]:
    return ("✎ learnt", "learnt") if learns else ("✱ frozen", "frozen")


def _box(name: str, state: str, kind: str) -> Html:
    return tag("li", tag("strong", name), tag("span", state), class_=kind)


def _prove_frozen(facts: Mapping[str, Any]) -> Html:
    before, after = facts["frozen"]["before"], facts["frozen"].get("after")
    if facts["params"]["learning"] == facts["params"]["total"]:
        return note("Nothing was frozen.")
    verdict = "✓ What was frozen did not move" if before == after else "✗ What was frozen MOVED"
    digests = pairs([("before", tag("code", before)), ("after", tag("code", after or "not measured"))])
    return tag(
        "div",
        tag("p", tag("strong", f"{verdict}."), " SHA-256 of all frozen parameters and buffers:"),
        digests,
        class_="proof" if before == after else "proof alarm",
    )


def _chart(measure: str, key: str, facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Chart:
    is_share = key == "accuracy"
    curves = [
        Curve(name, kind, [line[f"{kind}_{key}"] * (100 if is_share else 1) for line in history])
        for name, kind in (("training", "train"), ("validation", "val"))
    ]
    epochs, best = [line["epoch"] for line in history], facts["best"]["epoch"]
    return Chart(measure, epochs, curves, best, " %", 100.0) if is_share else Chart(measure, epochs, curves, best)


def _advise(best: int, epochs: int) -> str:
    if best == epochs:
        return "The last epoch was the best: more epochs may make it better still."
    return f"Epoch {best} of {epochs} was the best, and its model is what was kept; later ones did not validate better."


def _list_epochs(best: int, history: Sequence[Mapping[str, Any]]) -> Html:
    heads = ["Epoch", "Train loss", "Train accuracy", "Val loss", "Val accuracy", "Learning rate", "Time"]
    rows = [
        [
            f"{line['epoch']}{' (best)' if line['epoch'] == best else ''}",
            f"{line['train_loss']:.4f}",
            show_percent(line["train_accuracy"]),
            f"{line['val_loss']:.4f}",
            show_percent(line["val_accuracy"]),
            f"{line['lr']:.3g}",
            show_seconds(line["seconds"]),
        ]
        for line in history
    ]
    return table(heads, rows)
