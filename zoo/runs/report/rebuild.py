"""Write the report of a finished run again, and a page that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.data.decode import decode_image, quiet_pillow
from zoo.files.schema import Epoch, Run
from zoo.progress import Progress
from zoo.registry.registry import Registry
from zoo.runs.architecture import Model
from zoo.runs.classifier import load
from zoo.runs.compare import compare_runs, list_doubts
from zoo.runs.folder import HISTORY, PREDICTIONS, RUN, RunFolder
from zoo.runs.predictions import read_predictions
from zoo.runs.report.context import make_charts
from zoo.runs.report.page import build_page
from zoo.runs.report.pictures import Pictures, draw_pictures
from zoo.runs.report.template import render_template


def rebuild_page(run: Path, *, model: Model | None = None, registry: Registry, progress: Progress) -> str:
    """Return the HTML of a run's report, with pictures of the images that still exist.

    Args:
        run: Run folder, or a file in it.
        model: Your own network, if the run was trained with one.
        registry: Where to look up the backbone.
        progress: Receives notes about missing pictures.

    Raises:
        RunError: If there is no finished run, or a file of the run is damaged.
        NameNotFound: If the plugin of its backbone is not installed.
    """
    folder = RunFolder.open(run)
    facts, history = folder.read_json(RUN, Run), folder.read_lines(HISTORY, Epoch)
    pictures = _draw(folder, model, registry, progress) if (folder.path / PREDICTIONS).exists() else None
    if pictures is None:
        progress.say(f"note: {folder.path} has no {PREDICTIONS}, so the report has no pictures")
    elif pictures.missing:
        progress.say(f"note: {len(pictures.missing)} images can no longer be read, such as {pictures.missing[0]}")
    if pictures and pictures.problem:
        progress.say(f"note: {pictures.problem}")
    return build_page(facts, history, pictures)


def _draw(folder: RunFolder, model: Model | None, registry: Registry, progress: Progress) -> Pictures | None:
    classifier = load(folder.path, model=model, registry=registry, progress=progress)
    transform = classifier.transform.steps

    def read(path: Path) -> Tensor:
        return transform.reduce(decode_image(path, transform.bits, transform.channels))

    predictions = read_predictions(folder)
    with quiet_pillow(), progress.track("drawing", len(predictions)):
        return draw_pictures(predictions, read, classifier.model, transform.normalize)


def build_comparison(runs: Sequence[Path]) -> str:
    """Return the HTML of a page that compares runs, most accurate first.

    Raises:
        RunError: If one of them is not a finished run.
    """
    compared = compare_runs(runs)
    sections = [(one, _chart(Path(one.run))) for one in compared]
    return render_template("comparison.html.jinja", sections=sections, doubts=list_doubts(compared))


def _chart(run: Path) -> Any:
    folder = RunFolder.open(run)
    best = folder.read_json(RUN, Run)["best"]["epoch"]
    return make_charts(best, [dict(line) for line in folder.read_lines(HISTORY, Epoch)])[1]
