"""Make the pictures of the documentation again: ``python docs/site/pictures.py``.

This needs the ``test-notebook`` extra, and Chromium for the picture of a report.
"""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from notebook_page import PICTURES

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "pictures"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_WINDOW = (900, 1200)


def draw_notebook(folder: Path) -> dict[str, Image.Image]:
    """Run the notebook in a folder, and return the pictures of its cells."""
    import nbclient
    import nbformat

    notebook = nbformat.read(ROOT / "docs" / "tutorials" / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return {name: _read_picture(notebook.cells[number - 1]) for number, (name, _) in PICTURES.items()}


def _read_picture(cell: Any) -> Image.Image:
    (data,) = (output["data"]["image/png"] for output in cell["outputs"] if "image/png" in output.get("data", {}))
    return Image.open(io.BytesIO(base64.b64decode(data)))


def photograph(page: Path, picture: Path) -> Image.Image:
    """Take a screenshot of a page.

    Raises:
        RuntimeError: If Chromium is not installed.
    """
    if CHROMIUM is None:
        raise RuntimeError("Chromium is not installed.")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={_WINDOW[0]},{_WINDOW[1]}", "--blink-settings=preferredColorScheme=1"]  # light
    command += [f"--user-data-dir={picture.parent / 'profile'}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603  # our command
    return Image.open(picture)


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pictures = draw_notebook(folder)
        pictures["report"] = photograph(folder / "suns_moons" / "report.html", folder / "report.png")
        for name, picture in pictures.items():
            picture.convert("RGB").save(FOLDER / f"{name}.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
