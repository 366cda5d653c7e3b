"""``zoo evaluate``."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_run
from zoo.cli.mistakes import format_errors
from zoo.cli.output import format_table, json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines
from zoo.progress.order import sort_names


@click.command(name="evaluate")
@click.argument("run", shell_complete=complete_run)
@shared.data
@shared.label_from
@shared.columns
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "all"]),
    help="Split to evaluate.  [default: test if the data has one, else val, else all]",
)
@click.option("--errors", is_flag=True, help="List the images whose predicted class is wrong.")
@shared.adapt
@shared.adapt_options
@shared.model
@shared.inference_device
@json_option
def command(  # click passes each option as an argument
    run: str, data: str, split: str | None, model: str | None, device: str, as_json: bool, **options: Any
) -> None:
    """Evaluate a run on labeled images."""
    adapt = shared.pop_adapt(options)
    with torch_session() as (registry, progress):
        from zoo.runs.classifier import load

        classifier = load(run, model=model, device=device, registry=registry, progress=progress)
        result = classifier.evaluate(data, split, registry=registry, progress=progress, adapt=adapt, **options)
    print_json(result) if as_json else print_lines(*_format(result))


def _format(result: dict[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [("CLASS", "IMAGES", "PRECISION", "RECALL")]
    for name in sort_names(result["per_class"]):
        metrics = result["per_class"][name]
        shares = ("-" if share is None else f"{share:.3f}" for share in (metrics["precision"], metrics["recall"]))
        rows.append((name, str(metrics["images"]), *shares))
    accuracy = f"accuracy {result['accuracy']:.4f} on {result['images']} images ({result['split']})"
    errors = format_errors(result["errors"]) if "errors" in result else ()
    return [accuracy, *format_table(rows, right=(1, 2, 3)), *errors]
