"""What a run was made of: data, recipe, weights, versions, hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from zoo.registry.licence import describe_licence
from zoo.runs.report.html import Html, fold, note, pairs, section, table, tag
from zoo.runs.report.numbers import show_count, show_seconds

#: More files than that are counted, not named.
MOST_FILES = 200


def describe_data(facts: Mapping[str, Any]) -> Html:
    """Show what it learnt from, and which files were left out and why."""
    data = facts["data"]
    splits = {"train": "training images", "val": "validation images", "test": "test images"}
    return section(
        "Data",
        pairs([
            ("asked for", data["asked"]),
            *((name, f"{data['images'][split]:,}") for split, name in splits.items()),
            ("classes", f"{len(facts['classes']):,}"),
            ("fingerprint", tag("code", data["fingerprint"])),
        ]),
        *_left_out(data["left_out"]),
    )  # fmt: skip


def describe_origin(facts: Mapping[str, Any]) -> Html:
    """Show the recipe, and with what it was carried out."""
    return section(
        "How it was made",
        tag(
            "div",
            _titled("Recipe", facts["recipe"]),
            tag("div", *(_titled(title, rows) for title, rows in _list_surroundings(facts).items())),
            class_="columns",
        ),
        note("run.json holds everything that is needed to repeat the run; README.md says how to use the model."),
    )


def _list_surroundings(facts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    see = facts["input"]
    return {
        "Weights": {"backbone": facts["backbone"], **facts["weights"], **_warn(facts)},
        "What the network sees": {key: see[key] for key in see if see[key] is not None},
        "Hardware": {**facts["hardware"], "time": show_seconds(facts["seconds"]), "started": facts["started"]},
        "Versions": facts["versions"],
    }


def _warn(facts: Mapping[str, Any]) -> dict[str, str]:
    licence, label = facts["weights"]["licence"], facts["weights"]["label"]
    warning = describe_licence(f"{facts['backbone']}@{label}", licence) if licence else None
    return {"mind": f"⚠ {warning}"} if warning else {}


def _titled(title: str, rows: Mapping[str, Any]) -> Html:
    return tag("div", tag("h3", title), pairs((name.replace("_", " "), _show(value)) for name, value in rows.items()))


def _show(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, (list, tuple)):
        return ", ".join(_show(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _left_out(files: list[Mapping[str, str]]) -> list[Html]:
    if not files:
        return [note("No file was left out.")]
    reasons = Counter(file["reason"] for file in files).most_common()
    shown = [[file["path"], file["reason"]] for file in files[:MOST_FILES]]
    more = len(files) - len(shown)
    return [
        tag("h3", f"{show_count(len(files), 'file')} left out"),
        table(["Reason", "Files"], [[reason, f"{count:,}"] for reason, count in reasons]),
        fold(
            "Which files",
            table(["File", "Reason"], shown, "words"),
            *([note(f"And {more:,} more; run.json names them all.")] if more else []),
        ),
    ]
