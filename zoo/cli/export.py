"""``zoo export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli import shared
from zoo.cli.completion import complete_run
from zoo.cli.output import json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines, print_notes

if TYPE_CHECKING:
    from zoo.runs.export.export import Export


@click.command(name="export")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--format",
    type=click.Choice(["onnx", "pt2", "timm", "transformers"]),
    default="onnx",
    show_default=True,
    help="What to write.",
)
@click.option("--output", metavar="DIR", help="Folder to create.  [default: exports/FORMAT in the run folder]")
@click.option(
    "--preprocess",
    type=click.Choice(["inside", "outside"]),
    help="Whether images are resized and normalized in the exported network, or before it.  [default: inside]",
)
@shared.model
@json_option
def command(  # click passes each option as an argument
    run: str, format: str, output: str | None, preprocess: str | None, model: str | None, as_json: bool
) -> None:
    """Export the model of a run for other programs.

    Runs the export on the validation images in a fresh process, without zoo. If
    the probabilities differ from those of the run, the export fails and writes
    nothing. Prints the path of the new folder on the last line.
    """
    with torch_session() as (registry, progress):
        from zoo.runs.export.export import export_run

        options = {"output": output, "preprocess": preprocess, "model": model}
        export = export_run(run, format, registry=registry, progress=progress, **options)
    print_notes(*_describe(export))
    print_json({**export.to_json(), "path": str(export.path)}) if as_json else print_lines(str(export.path))


def _describe(export: Export) -> list[str]:
    names = {"images": "with image files", "tensors": "with normalized batches"}
    lines = [f"{names[kind]}: {compared.describe()}" for kind, compared in export.parity.items()]
    if not export.is_proved:
        return [*lines, f"warning: not proved on your images, only on drawn ones, because {export.reason}"]
    partly = f" of {export.validation_images}, because {export.reason}" if export.reason else ""
    return [*lines, f"proved on {export.images} validation images{partly}"]
