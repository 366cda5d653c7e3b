"""``zoo finetune``."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import Any

import click

from zoo.cli.options import gather_options
from zoo.cli.process import computing
from zoo.progress import is_first, open_progress
from zoo.registry.recipe import AUGMENTS, BASELINES, DEVICES, OPTIMIZERS, PRECISIONS, SCHEDULES, Recipe
from zoo.registry.registry import open_registry


def _default(field: str) -> str:
    return f"[default: {getattr(Recipe(), field)}]"


@click.command(name="finetune")
@click.argument("backbone")
@click.option(
    "--data", required=True, metavar="DATA", help="A folder of images, an archive of one, or a data set's name."
)
@click.option("--recipe", metavar="NAME", help="Options of that name in registry.toml, over which flags win.")
@click.option("--weights", metavar="W", help="DEFAULT, a tag, none, or a .safetensors file.  [default: DEFAULT]")
@click.option("--head", metavar="H", help=f"linear, or mlp:W,W with hidden layers of these widths.  {_default('head')}")
@click.option("--train", metavar="T", help=f"head, all, from:BLOCK, head-then-all or gradual.  {_default('train')}")
@click.option("--epochs", type=int, metavar="N", help=_default("epochs"))
@click.option("--batch-size", type=int, metavar="N", help=_default("batch_size"))
@click.option("--lr", type=float, metavar="X", help="Highest learning rate.  [default: by optimizer and --train]")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), help=_default("optimizer"))
@click.option("--schedule", type=click.Choice(SCHEDULES), help=_default("schedule"))
@click.option("--augment", type=click.Choice(AUGMENTS), help="[default: none for --train head, else crop-flip]")
@click.option(
    "--views",
    type=int,
    metavar="K",
    help="Augment in K ways, in turn; 0: anew at every epoch.  [default: 4 with --train head, else 0]",
)
@click.option("--cache/--no-cache", default=None, help="Compute what is frozen once, and keep it.  [default: --cache]")
@click.option("--label-smoothing", type=float, metavar="X", help=_default("label_smoothing"))
@click.option("--patience", type=int, metavar="N", help="Stop after N epochs that are no better.  [default: never]")
@click.option("--baseline", type=click.Choice(BASELINES), help="What to compare it with.  [default: none]")
@click.option("--precision", type=click.Choice(PRECISIONS), help=_default("precision"))
@click.option("--device", type=click.Choice(DEVICES), help=_default("device"))
@click.option("--devices", type=int, metavar="N", help="Share the work between N processes, on a GPU each.")
@click.option("--seed", type=int, metavar="N", help=_default("seed"))
@click.option("--output", metavar="DIR", help="The run folder.  [default: runs/BACKBONE-DATA-N]")
@click.option("--resume", is_flag=True, help="Go on with the run in --output, or begin it where there is none.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other option of the reference.")
@click.option("--config", metavar="FILE", help="TOML with options by name; a flag here wins over it.")
@click.option("--json", "as_json", is_flag=True, help="Print run.json instead of the run folder.")
def command(
    backbone: str, data: str, output: str | None, recipe: str | None, config: str | None, settings: tuple[str, ...],
    resume: bool, as_json: bool, devices: int | None, **flags: Any,
) -> int:  # fmt: skip
    """Fine-tune BACKBONE on your images.

    The last line printed is the run folder.
    """
    options = gather_options(config, settings, flags)
    registry = open_registry()  # before torch is imported, so that a plugin that does it too early is found out
    with redirect_stdout(sys.stderr):  # what upstream prints is no answer
        with computing():
            from zoo.engine.distributed.launch import launch, needs_launch
            from zoo.training.finetune import finetune

        if devices is not None and needs_launch(devices, options.get("device", "auto")):
            return launch(sys.argv[1:], devices)
        progress = open_progress()
        run = finetune(
            backbone, data, output=output, resume=resume, recipe=recipe, registry=registry, progress=progress, **options
        )
    if is_first():
        click.echo(json.dumps(run.facts, indent=2) if as_json else str(run.path))
    return 0
