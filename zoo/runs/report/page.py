"""The page that people open after a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from zoo.runs.folder import REPORT, RunFolder
from zoo.runs.report.evaluation import describe_headline, describe_results
from zoo.runs.report.html import Html, join, tag
from zoo.runs.report.numbers import show_count, show_seconds, show_short
from zoo.runs.report.provenance import describe_data, describe_origin
from zoo.runs.report.training import describe_epochs, describe_parts

#: Class names in the first lines of the page.
MOST_NAMES = 12

# The page needs nothing from elsewhere; so nothing from elsewhere is let in, whatever a class may be called.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_page(folder: RunFolder, facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
    """Write report.html: one file, without scripts, that shows what a run did.

    Args:
        folder: of the run.
        facts: what run.json holds.
        history: what history.jsonl holds, at least one epoch.

    Raises:
        RunError: it cannot be written.
    """
    folder.write_text(REPORT, build_page(facts, history))


def build_page(facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """Return the page."""
    title = _title(facts)
    main = tag(
        "main",
        _head(facts, title),
        describe_headline(facts),
        describe_parts(facts),
        describe_epochs(facts, history),
        describe_results(facts),
        describe_data(facts),
        describe_origin(facts),
    )
    return "<!DOCTYPE html>\n" + tag("html", _meta(title), tag("body", main), lang="en") + "\n"


def _meta(title: str) -> Html:
    style = resources.files("zoo.runs.report").joinpath("style.css").read_text(encoding="utf-8")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )


def _head(facts: Mapping[str, Any], title: str) -> Html:
    return tag(
        "header",
        tag("h1", title),
        tag("p", tag("code", f"{facts['backbone']}@{facts['weights']['label']}"), " to tell apart ", _classes(facts)),
        tag("p", *_circumstances(facts), class_="note"),
    )


def _classes(facts: Mapping[str, Any]) -> Html:
    names = facts["classes"]
    shown = [part for name in names[:MOST_NAMES] for part in (", ", tag("bdi", name))][1:]
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return join([f"{show_count(len(names), 'class')}: ", *shown, more])


def _circumstances(facts: Mapping[str, Any]) -> list[str]:
    started = datetime.fromisoformat(facts["started"])
    parts = [
        show_count(facts["epochs"], "epoch"),
        show_count(facts["data"]["images"]["train"], "training image"),
        f"{show_short(facts['params']['learning'])} of {show_short(facts['params']['total'])} parameters learnt",
        f"{show_seconds(facts['seconds'])} on {facts['hardware']['name']} ({facts['hardware']['precision']})",
    ]
    return [" · ".join(parts) + " · ", tag("time", f"{started:%Y-%m-%d %H:%M %Z}", datetime=facts["started"])]


def _title(facts: Mapping[str, Any]) -> str:
    asked = facts["data"]["asked"]
    return f"{facts['backbone'].rpartition('/')[2]} on {Path(asked).name or asked}"
