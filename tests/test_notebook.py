"""The notebook in docs/tutorials runs from its first to its last cell, and its plots show what its text claims."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from notebook_page import PICTURES

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorials" / "notebook.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with the outputs of its cells. The first cell that fails raises an exception."""
    notebook, folder = read(), tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_OFFLINE", "1")
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        client = nbclient.NotebookClient(
            notebook,
            timeout=240,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )
        return client.execute()


def show(cell: Any) -> dict[str, str]:
    """Return what a cell shows, keyed by MIME type."""
    shown: dict[str, str] = {}
    for output in cell.get("outputs", []):
        data = {"text/plain": output["text"]} if output.output_type == "stream" else output["data"]
        for kind, content in data.items():
            shown[kind] = shown.get(kind, "") + content
    return shown


def test_the_notebook_has_twelve_cells_without_outputs() -> None:
    cells = read().cells
    assert len(cells) == 12
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_every_code_cell_begins_with_a_comment_that_says_what_it_does() -> None:
    assert [cell.source for cell in read().cells[1:] if not cell.source.startswith("# ")] == []


@pytest.mark.breadth
def test_the_cells_show_pictures(executed: Any) -> None:
    pictures = [number for number, cell in enumerate(executed.cells, 1) if "image/png" in show(cell)]
    assert pictures == [3, 5, 10, 12]  # contact sheet, loss, rotated image, features


@pytest.mark.breadth
def test_the_pictures_on_the_site_are_those_of_the_cells(executed: Any) -> None:
    for number, (name, _) in PICTURES.items():
        drawn = Image.open(io.BytesIO(base64.b64decode(show(executed.cells[number - 1])["image/png"])))
        with Image.open(NOTEBOOK.parent.parent / "pictures" / f"{name}.webp") as shown:
            assert shown.size == drawn.size


@pytest.mark.breadth
def test_the_run_links_to_its_report(executed: Any) -> None:
    shown = show(executed.cells[3])["text/html"]
    assert "report.html" in shown
    assert "val accuracy" in shown


@pytest.mark.breadth
def test_most_new_images_are_classified_correctly(executed: Any) -> None:
    correct, total = show(executed.cells[8])["text/plain"].split(" are ")[0].split(" of ")
    assert int(total) == 40
    assert int(correct) >= 34


@pytest.mark.breadth
def test_the_features_are_those_of_all_new_images(executed: Any) -> None:
    assert "40 images" in show(executed.cells[10])["text/plain"]
