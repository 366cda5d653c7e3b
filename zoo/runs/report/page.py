"""The page that people open after a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.runs.folder import REPORT, RunFolder
from zoo.runs.report.context import make_context
from zoo.runs.report.template import render_template


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
    return render_template("report.html.jinja", **make_context(facts, history))
