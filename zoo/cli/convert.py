"""``zoo convert``."""

from __future__ import annotations

import click

from zoo.cli.flags import name_flags
from zoo.cli.output import json_option, print_json
from zoo.cli.streams import print_lines, print_notes


@click.command(name="convert")
@click.argument("file", type=click.Path())
@click.argument("output", type=click.Path())
@click.option(
    "--key",
    metavar="KEY",
    help="Key of the tensors in the file, such as state_dict_ema.  [default: state_dict or a similar key]",
)
@click.option(
    "--prefix",
    metavar="PREFIX",
    help="Keep only tensors whose names begin with PREFIX, such as encoder_q, and remove PREFIX from the names.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
@json_option
def command(file: str, output: str, key: str | None, prefix: str | None, overwrite: bool, as_json: bool) -> None:
    """Convert a .pth or .ckpt file to safetensors.

    Loads only tensors and never runs code from the file. Prints the path of the new file on the last line.
    """
    from zoo.models.weights.convert import convert_weights

    converted = convert_weights(file, output, key=key, prefix=prefix, overwrite=overwrite)
    for note in converted.list_notes():
        print_notes(f"note: {name_flags(note)}")
    print_json(converted) if as_json else print_lines(str(converted.output))
