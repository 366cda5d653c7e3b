"""The page with a contact sheet: a single file that contains its images."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from torch import Tensor

from zoo.data.channels import to_visible
from zoo.data.contact_sheet import Row
from zoo.data.pillow_tensors import to_pillow
from zoo.runs.report.template import render_template


def build_sheet_page(title: str, caption: str, rows: Sequence[Row]) -> str:
    """Return the HTML of a page with a section for each row.

    Args:
        title: Title of the page.
        caption: Paragraph below the title.
        rows: Rows of images.
    """
    sections = [(row.title, _list_figures(row)) for row in rows]
    return render_template("sheet.html.jinja", title=title, caption=caption, sections=sections)


def _list_figures(row: Row) -> list[tuple[str, Sequence[str]]]:
    """Return each image as a base64-encoded PNG, with the lines of its caption."""
    captions = row.captions or [()] * len(row.images)
    return [(_encode(image), lines) for image, lines in zip(row.images, captions, strict=True)]


def _encode(image: Tensor) -> str:
    file = io.BytesIO()
    to_pillow(to_visible(image)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
