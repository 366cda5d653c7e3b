"""``zoo predict``."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from zoo.cli.completion import RunFolderName
from zoo.cli.process import computing
from zoo.registry.recipe import DEVICES

if TYPE_CHECKING:
    from zoo.runs.classifier import Prediction


@click.command(name="predict")
@click.argument("run", type=RunFolderName())
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@click.option(
    "--top", type=click.IntRange(min=1), default=1, show_default=True, metavar="K", help="The K most probable."
)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV: path, label, probability, error.")
@click.pass_context
def command(ctx: click.Context, run: str, images: tuple[str, ...], top: int, device: str, form: str | None) -> None:
    """Predict the class of images with RUN.

    Exits with 1 if none of them could be read.
    """
    with computing() as registry:
        from zoo.runs.classifier import load

        predictions = list(load(run, device=device, registry=registry).predict(images, top))
    {"json": _print_json, "csv": _print_csv, None: _print_lines}[form](predictions)
    if all(prediction.error for prediction in predictions):
        ctx.exit(1)


def _print_json(predictions: Iterable[Prediction]) -> None:
    click.echo(json.dumps([prediction.to_json() for prediction in predictions], indent=1))


def _print_csv(predictions: Iterable[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("path", "label", "probability", "error"))
    for prediction in predictions:
        if prediction.error is not None:
            writer.writerow((prediction.path, "", "", prediction.error))
        for label, probability in prediction.top:
            writer.writerow((prediction.path, label, probability, ""))


def _print_lines(predictions: Iterable[Prediction]) -> None:
    for prediction in predictions:
        if prediction.error is not None:
            click.echo(f"{prediction.path}: {prediction.error}", err=True)
        else:
            answers = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.top)
            click.echo(f"{prediction.path}: {answers}")
