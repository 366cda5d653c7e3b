"""The report.html of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.runs.folder import REPORT, RunFolder
from zoo.runs.report.context import make_context
from zoo.runs.report.template import render_template


def write_page(folder: RunFolder, facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
    """Write report.html, a single file without scripts.

    Args:
        folder: The run folder.
        facts: Content of run.json.
        history: Content of history.jsonl, at least one epoch.

    Raises:
        RunError: If the file cannot be written.
    """
    folder.write_text(REPORT, build_page(facts, history))


def build_page(facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML of the page."""
    return render_template("report.html.jinja", **make_context(facts, history))
