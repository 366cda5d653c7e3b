"""``zoo embed``."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_data, complete_run
from zoo.cli.flags import name_flags
from zoo.cli.output import json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.stdin_paths import insert_stdin
from zoo.cli.streams import print_lines, print_notes


@click.command(name="embed")
@click.argument("model", metavar="RUN|BACKBONE", shell_complete=complete_run)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|DATA...", shell_complete=complete_data)
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    help="File to write: .safetensors, .npy (with the paths in a .csv beside it), .csv or .parquet.",
)
@click.option("--block", metavar="NAME", help="Use the output of this block.  [default: the input of the head]")
@click.option("--weights", metavar="WEIGHTS", help="Weights of BACKBONE: a tag or a .safetensors file.")
@shared.columns
@shared.inference_device
@json_option
def command(model: str, images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Compute the features of images.

    IMAGE and DATA are those of `zoo predict`. Feature maps and tokens are
    averaged over all positions. Prints the path of the file on the last line.

    Exits with 1 if no image could be read.
    """
    with torch_session() as (registry, progress):
        from zoo.runs.embed import embed
        from zoo.runs.embeddings import check_output

        check_output(output)
        found = embed(model, insert_stdin(images), registry=registry, progress=progress, **options)
        path = str(found.save(output))
    print_notes(*(f"{item.path}: {name_flags(item.reason)}" for item in found.left_out), repr(found))
    facts = {"output": path, "images": len(found.paths), "width": found.features.shape[1]}
    left_out = [{"path": str(item.path), "reason": item.reason} for item in found.left_out]
    print_json({**facts, "left_out": left_out}) if as_json else print_lines(path)
