"""``zoo finetune``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import click

from zoo.cli.completion import BackboneName, DataName
from zoo.cli.flags import name_flags
from zoo.cli.groups import SectionedCommand
from zoo.cli.options import gather_options
from zoo.cli.process import computing
from zoo.progress import is_first, open_progress
from zoo.registry.recipe import AUGMENTS, BASELINES, DEVICES, OPTIMIZERS, PRECISIONS, SCHEDULES, Recipe

EXAMPLES = """\b
Examples:
  zoo finetune resnet18 --data photos
  zoo finetune resnet50 --data photos --train all --epochs 10 --lr 1e-4
"""


def _default(field: str) -> str:
    return f"[default: {getattr(Recipe(), field)}]"


class FinetuneCommand(SectionedCommand):
    """The options of a run, by what they are about."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Model": ("weights", "head", "train"),
        "Training": (
            "epochs", "batch_size", "lr", "optimizer", "schedule", "label_smoothing", "patience", "seed", "recipe",
            "assignments", "config",
        ),
        "Data": ("data", "augment", "views"),
        "Machine": ("device", "devices", "precision", "cache"),
        "Run": ("output", "resume", "baseline", "as_json"),
    }  # fmt: skip


@click.command(name="finetune", cls=FinetuneCommand, epilog=EXAMPLES)
@click.argument("backbone", type=BackboneName())
@click.option(
    "--data", required=True, type=DataName(), metavar="DATA",
    help="A folder of images, an archive of one, or a data set's name.",
)  # fmt: skip
@click.option("--recipe", metavar="NAME", help="Options of that name in registry.toml, over which flags win.")
@click.option("--weights", metavar="W", help="DEFAULT, a tag, none, or a .safetensors file.  [default: DEFAULT]")
@click.option("--head", metavar="H", help=f"linear, or mlp:W,W for hidden layers of these widths.  {_default('head')}")
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
    help="Augmented views per image, one after the other; 0: a new one each epoch.  [default: 4 or 0]",
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
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any other option of the reference.")
@click.option("--config", metavar="FILE", help="TOML with options by name; a flag here wins over it.")
@click.option("--json", "as_json", is_flag=True, help="Print run.json instead of the run folder.")
def command(
    backbone: str, data: str, output: str | None, recipe: str | None, config: str | None, assignments: tuple[str, ...],
    resume: bool, as_json: bool, devices: int | None, **flags: Any,
) -> int:  # fmt: skip
    """Fine-tune BACKBONE on your images.

    The last line printed is the run folder.
    """
    options = gather_options(config, assignments, flags)
    with computing() as registry:
        from zoo.engine.distributed.launch import launch, needs_launch
        from zoo.training.finetune import finetune

        if devices is not None and needs_launch(devices, options.get("device", "auto")):
            return launch(sys.argv[1:], devices)
        progress = open_progress(name_flags)
        run = finetune(
            backbone, data, output=output, resume=resume, recipe=recipe, registry=registry, progress=progress, **options
        )
    if is_first():
        click.echo(json.dumps(run.facts, indent=2) if as_json else str(run.path))
    return 0
