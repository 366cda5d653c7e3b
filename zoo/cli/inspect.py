"""``zoo inspect``."""

from __future__ import annotations

import click

from zoo.cli.completion import complete_backbone
from zoo.cli.output import json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines


@click.command(name="inspect")
@click.argument("network", shell_complete=complete_backbone, metavar="BACKBONE|RUN|FILE.py:FUNCTION")
@click.option(
    "--train",
    metavar="SCOPE",
    help="What would be trained, as for zoo finetune.  [default: what the run trained; head for a backbone]",
)
@click.option("--depth", type=int, metavar="N", help="Number of levels to show.  [default: all]")
@click.option(
    "--image-size",
    type=int,
    metavar="N",
    help="Height and width of the image.  [default: the input size; 224 for a file]",
)
@json_option
def command(network: str, train: str | None, depth: int | None, image_size: int | None, as_json: bool) -> None:
    """Show the modules of a backbone or of a run's model.

    FILE.py:FUNCTION is a function that returns your own network. Shows the output shape for one image, the parameters,
    and what is trained. Reads no weights.
    """
    with torch_session() as (registry, _):
        from zoo.runs.inspect import inspect

        size = (3, image_size, image_size) if image_size else None
        found = inspect(network, train=train, depth=depth, size=size, registry=registry)
    print_json(found) if as_json else print_lines(*found.list_lines())
