"""``zoo lr-find``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from zoo.cli.completion import BackboneName
from zoo.cli.flags import name_flags
from zoo.cli.options import gather_options
from zoo.cli.process import computing
from zoo.files.atomic import written
from zoo.progress import open_progress
from zoo.registry.recipe import DEVICES, OPTIMIZERS


@click.command(name="lr-find")
@click.argument("backbone", type=BackboneName())
@click.option(
    "--data", required=True, metavar="DATA", help="A folder of images, an archive of one, or a data set's name."
)
@click.option("--weights", metavar="W", help="DEFAULT, a tag, none, or a .safetensors file.  [default: DEFAULT]")
@click.option("--head", metavar="H", help="linear, or mlp:W,W.  [default: linear]")
@click.option("--train", metavar="T", help="What learns: head, all or from:BLOCK.  [default: head]")
@click.option("--batch-size", type=int, metavar="N", help="[default: 32]")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="[default: adamw]")
@click.option("--device", type=click.Choice(DEVICES), help="[default: auto]")
@click.option("--seed", type=int, metavar="N", help="[default: 0]")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any other option of zoo finetune.")
@click.option("--config", metavar="FILE", help="TOML with options by name; a flag here wins over it.")
@click.option("--plot", metavar="FILE", help="Draw the losses over the rates, as SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was tried.")
def command(
    backbone: str, data: str, assignments: tuple[str, ...], config: str | None, plot: str | None, as_json: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Find a learning rate for BACKBONE on your images.

    Prints the one at which the loss falls fastest; nothing is kept of the run.
    """
    options = gather_options(config, assignments, flags)
    with computing() as registry:
        from zoo.runs.report.lr_plot import draw_rates
        from zoo.training.lr_find import find_lr

        found = find_lr(backbone, data, registry=registry, progress=open_progress(name_flags), **options)
        if plot:
            with written(Path(plot)) as path:
                path.write_text(draw_rates(found.tried, found.suggested), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=1))
    elif found.suggested is None:
        raise click.ClickException("the loss never falls, at whichever rate; look at the images and their labels.")
    else:
        click.echo(f"{found.suggested:.2g}")
