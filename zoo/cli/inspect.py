"""``zoo inspect``."""

from __future__ import annotations

import click

from zoo.cli import shared
from zoo.cli.completion import complete_backbone
from zoo.cli.output import print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines


@click.command(name="inspect")
@click.argument("network", shell_complete=complete_backbone, metavar="BACKBONE|RUN")
@click.option(
    "--train",
    metavar="SCOPE",
    help="What would be trained, as for zoo finetune.  [default: what the run trained; head for a backbone]",
)
@click.option("--depth", type=int, metavar="N", help="Number of levels to show.  [default: all]")
@shared.as_json
def command(network: str, train: str | None, depth: int | None, as_json: bool) -> None:
    """Show the modules of a backbone or of a run's model.

    Shows the output shape for one image, the parameters, and what is trained. Reads no weights.
    """
    with torch_session() as (registry, _):
        from zoo.runs.inspect import inspect

        found = inspect(network, train=train, depth=depth, registry=registry)
    print_json(found) if as_json else print_lines(*found.list_lines())
