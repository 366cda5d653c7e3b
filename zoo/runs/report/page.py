"""The report.html of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.runs.folder import REPORT, RunFolder
from zoo.runs.report.context import make_context
from zoo.runs.report.template import render_template

if TYPE_CHECKING:
    from zoo.runs.report.pictures import Pictures


def write_page(
    folder: RunFolder,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    pictures: Pictures | None = None,
) -> None:
    """Write report.html, a single file without scripts.

    Args:
        folder: The run folder.
        facts: Content of run.json.
        history: Content of history.jsonl, at least one epoch.
        pictures: Pictures of the page. Without them, the page has no images.

    Raises:
        RunError: If the file cannot be written.
    """
    folder.write_text(REPORT, build_page(facts, history, pictures))


def build_page(facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]], pictures: Pictures | None = None) -> str:
    """Return the HTML of the page; see `write_page`."""
    return render_template("report.html.jinja", **make_context(facts, history, pictures))
