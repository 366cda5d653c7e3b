"""Show the notebook as a page, with the pictures that `pictures.py` made of its cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Pictures of cells, and what they show, keyed by the number of the cell.
PICTURES = {
    3: ("contact-sheet", "Six moons and six suns, drawn on noisy backgrounds"),
    5: ("loss", "Both losses fall in five epochs"),
    12: ("features", "A scatter plot in which suns and moons form two groups"),
}


def write_notebook(path: Path) -> str:
    """Return the notebook in Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join(part for number, cell in enumerate(cells, 1) for part in _format_cell(number, cell, path.name))


def _format_cell(number: int, cell: dict[str, Any], name: str) -> Iterator[str]:
    source = "".join(cell["source"])  # a list of lines, or the text
    if cell["cell_type"] == "markdown":
        yield f"{source} Download [the notebook]({name}) to run it.\n"
        return
    yield f"```python\n{source}\n```\n"
    if number in PICTURES:
        picture, text = PICTURES[number]
        yield f"![{text}](../pictures/{picture}.webp)\n"
