"""``zoo predict``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from zoo.cli import shared
from zoo.cli.completion import complete_data, complete_run
from zoo.cli.output import print_csv, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines, print_notes

if TYPE_CHECKING:
    from zoo.runs.prediction import Prediction


@click.command(name="predict")
@click.argument("run", shell_complete=complete_run)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|DATA...", shell_complete=complete_data)
@click.option("--columns", metavar="image=NAME", help="Column of a table that contains the images.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of most likely classes to print per image.",
)
@shared.model
@shared.inference_device
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV with the columns path, label, probability and error.")
@click.pass_context
def command(  # click passes each option as an argument
    ctx: click.Context,
    run: str,
    images: tuple[str, ...],
    columns: str | None,
    top: int,
    model: str | None,
    device: str,
    form: str | None,
) -> None:
    """Classify images with the model of a run.

    DATA is anything that the --data option of `zoo finetune` takes. The images
    need no labels.

    Exits with 1 if no image could be read.
    """
    with torch_session() as (registry, progress):
        from zoo.runs.classifier import load

        classifier = load(run, model=model, device=device, registry=registry, progress=progress)
        predictions = list(classifier.predict(images, top, columns=columns, registry=registry, progress=progress))
    print_notes(*(f"{prediction.path}: {prediction.error}" for prediction in predictions if prediction.error))
    if form == "json":
        print_json([prediction.to_json() for prediction in predictions])
    elif form == "csv":
        print_csv(_list_rows(predictions))
    else:
        print_lines(*map(_format, (prediction for prediction in predictions if not prediction.error)))
    if all(prediction.error for prediction in predictions):
        ctx.exit(1)


def _list_rows(predictions: Iterable[Prediction]) -> Iterator[tuple[str | float, ...]]:
    yield "path", "label", "probability", "error"
    for prediction in predictions:
        path = str(prediction.path)
        if prediction.error is not None:
            yield path, "", "", prediction.error
        for label, probability in prediction.top:
            yield path, label, probability, ""


def _format(prediction: Prediction) -> str:
    top = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.top)
    return f"{prediction.path}: {top}"
