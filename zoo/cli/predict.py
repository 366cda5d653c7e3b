"""``zoo predict``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_data, complete_run
from zoo.cli.flags import name_flags
from zoo.cli.mistakes import format_accuracy, format_top, format_wrong
from zoo.cli.output import json_option, print_csv, print_json
from zoo.cli.process import torch_session
from zoo.cli.stdin_paths import insert_stdin
from zoo.cli.streams import print_lines, print_notes

if TYPE_CHECKING:
    from zoo.runs.prediction import Prediction


@click.command(name="predict")
@click.argument("run", shell_complete=complete_run)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|DATA...", shell_complete=complete_data)
@click.option(
    "--columns",
    metavar="image=NAME",
    help="Column of a table that contains the images; with --truth, also label=NAME.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of most likely classes to print per image.",
)
@click.option(
    "--min-probability",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="P",
    help="Below this probability, predict no class: 'none of these'.",
)
@click.option(
    "--distance",
    is_flag=True,
    help="Measure how far each image is from the training images. The first time, reads them.",
)
@click.option(
    "--max-percentile",
    type=click.FloatRange(0, 100),
    metavar="P",
    help="Above this percentile of the distance, predict no class. Implies --distance.",
)
@click.option("--truth", is_flag=True, help="Compare with the labels of DATA, or with the names of the folders.")
@click.option("--fetch", is_flag=True, help="Fetch the images of URLs, such as https://host/photo.jpg.")
@shared.adapt
@shared.adapt_options
@shared.model
@shared.inference_device
@json_option
@click.option(
    "--csv",
    "as_csv",
    is_flag=True,
    help="Print CSV with the columns path, label, probability and error, truth with --truth, and distance and "
    "percentile with --distance.",
)
def command(  # click passes each option as an argument
    run: str, images: tuple[str, ...], model: str | None, device: str, **options: Any
) -> None:
    """Classify images with the model of a run.

    IMAGE is a file, or a pattern in quotes such as 'photos/**/*.jpg'; - reads
    paths from stdin, one per line or separated by NULs. With --fetch, IMAGE can
    also be a URL. DATA is anything that the --data option of `zoo finetune` takes. The images need no labels.

    Exits with 1 if no image could be read.
    """
    adapt, form = shared.pop_adapt(options), _pop_form(options)
    with torch_session() as (registry, progress):
        from zoo.runs.classifier import load

        paths = insert_stdin(images)
        classifier = load(run, model=model, device=device, registry=registry, progress=progress)
        predictions = classifier.predict(paths, registry=registry, progress=progress, adapt=adapt, **options)
    print_notes(*(f"{each.name}: {name_flags(each.error)}" for each in predictions if each.error))
    columns = _choose_columns(
        truth=options["truth"], distance=options["distance"] or options["max_percentile"] is not None
    )
    _print(predictions, form, columns)
    if all(prediction.error for prediction in predictions):
        click.get_current_context().exit(1)


def _pop_form(options: dict[str, Any]) -> str | None:
    """Remove the flags of the output's form, and return the form."""
    forms = {"json": options.pop("as_json"), "csv": options.pop("as_csv")}
    if all(forms.values()):
        raise click.UsageError("--json and --csv exclude each other; pass one of them.")
    return next((form for form, is_set in forms.items() if is_set), None)


def _choose_columns(*, truth: bool, distance: bool) -> tuple[str, ...]:
    """Return the additional columns."""
    return (*(("truth",) if truth else ()), *(("distance", "percentile") if distance else ()))


def _print(predictions: Sequence[Prediction], form: str | None, columns: Sequence[str]) -> None:
    if form == "json":
        print_json([prediction.to_json() for prediction in predictions])
    elif form == "csv":
        print_csv(_list_rows(predictions, columns))
    else:
        print_lines(*map(_format, (prediction for prediction in predictions if not prediction.error)))
    truth = "truth" in columns
    if truth and form:
        print_notes(format_accuracy(predictions))
    elif truth:
        print_lines(format_accuracy(predictions), *format_wrong(predictions))


def _list_rows(predictions: Iterable[Prediction], columns: Sequence[str]) -> Iterator[tuple[str | float, ...]]:
    yield "path", "label", "probability", "error", *columns
    for prediction in predictions:
        path = prediction.name
        last = ["" if (value := getattr(prediction, name)) is None else value for name in columns]
        if prediction.error is not None:
            yield path, "", "", prediction.error, *last
        elif prediction.label is None:
            yield path, "", prediction.top[0][1], "", *last
        else:
            for label, probability in prediction.top:
                yield path, label, probability, "", *last


def _format(prediction: Prediction) -> str:
    if prediction.distance is None:
        return f"{prediction.name}: {format_top(prediction)}"
    distance = f"distance {prediction.distance:.3f} (percentile {prediction.percentile:.0f})"
    return f"{prediction.name}: {format_top(prediction)}, {distance}"
