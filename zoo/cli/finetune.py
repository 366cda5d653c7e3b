"""``zoo finetune``."""

from __future__ import annotations

import sys
from typing import Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_backbone, complete_schedule
from zoo.cli.folds import format_folds
from zoo.cli.options import gather_options
from zoo.cli.output import print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines, print_notes
from zoo.progress import is_first
from zoo.registry.recipe import AUGMENTS, BALANCES, BASELINES, PRECISIONS

EXAMPLES = """\b
Examples:
  zoo finetune resnet18 --data photos
  zoo finetune resnet50 --data photos --train all --epochs 10 --lr 1e-4
  zoo finetune net.py:build --data photos --train all --image-size 64
"""

#: The sections of the help, and the options in each. --help comes last, in a section of its own.
SECTIONS = {
    "Model": ("weights", "head", "blocks", "train"),
    "Training": (
        "epochs", "batch_size", "lr", "optimizer", "schedule", "label_smoothing", "balance", "patience", "seed",
        "recipe", "assignments", "config",
    ),
    "Data": ("data", "label_from", "columns", "split", "folds", "image_size", "channels", "augment", "views"),
    "Machine": ("device", "devices", "precision", "cache"),
    "Run": ("output", "resume", "baseline", "as_json"),
}  # fmt: skip


class FinetuneCommand(click.Command):
    """A command whose help lists the options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([record for name in names if (record := records.pop(name))])
        with formatter.section("Other options"):
            formatter.write_dl([record for record in records.values() if record])


@click.command(name="finetune", cls=FinetuneCommand, epilog=EXAMPLES)
@click.argument("backbone", shell_complete=complete_backbone, metavar="BACKBONE|FILE.py:FUNCTION")
@shared.data
@shared.label_from
@shared.columns
@click.option(
    "--split",
    metavar="FRACTIONS",
    help="Fractions of the images for train, val and test, such as 0.6,0.2,0.2.  [default: 0.8,0.2]",
)
@click.option(
    "--folds",
    type=int,
    metavar="N",
    help="Cross-validate: divide train and val into N folds, and train a run for each fold, with that fold as val.",
)
@click.option(
    "--image-size",
    type=int,
    metavar="N",
    help="Height and width of the input in pixels.  [default: as the weights expect]",
)
@shared.channels
@click.option("--recipe", metavar="NAME", help="Recipe in registry.toml that sets options. Flags take precedence.")
@shared.weights
@shared.head
@shared.blocks
@click.option(
    "--train",
    metavar="SCOPE",
    help="What to train: head, all, from:BLOCK, head-then-all, gradual, or a list such as head,layer4,!norms.  "
    f"{shared.show_default('train')}",
)
@click.option("--epochs", type=int, metavar="N", help=f"Number of epochs.  {shared.show_default('epochs')}")
@shared.batch_size
@click.option(
    "--lr", type=float, metavar="LR", help="Maximum learning rate.  [default: depends on --optimizer and --train]"
)
@shared.optimizer
@click.option(
    "--schedule",
    metavar="SCHEDULE",
    shell_complete=complete_schedule,
    help="Learning rate schedule: onecycle, cosine, plateau, constant, or step:N,FACTOR, which multiplies the learning "
    f"rate by FACTOR every N epochs.  {shared.show_default('schedule')}",
)
@click.option(
    "--augment",
    type=click.Choice(AUGMENTS),
    help="Augmentation of training images.  [default: none if only the head is trained, else crop-flip]",
)
@click.option(
    "--views",
    type=int,
    metavar="N",
    help="Number of augmented views of each image, used in turn; 0 for a new view in every epoch.  "
    "[default: 1 without augmentation; with it, 4 if only the head is trained, else 0]",
)
@click.option(
    "--cache/--no-cache",
    default=None,
    help="Compute the features of the frozen part once and keep them in the cache folder.  [default: --cache]",
)
@click.option(
    "--label-smoothing",
    type=float,
    metavar="X",
    help=f"Label smoothing factor, at least 0 and less than 1.  {shared.show_default('label_smoothing')}",
)
@click.option(
    "--balance",
    type=click.Choice(BALANCES),
    help=f"Give rare classes a larger loss, or sample them more often.  {shared.show_default('balance')}",
)
@click.option(
    "--patience",
    type=int,
    metavar="N",
    help="Stop after N epochs without an improvement in validation accuracy.  [default: never]",
)
@click.option(
    "--baseline",
    type=click.Choice(BASELINES),
    help="Also train a baseline for comparison; scratch trains the same network from random weights.  [default: none]",
)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), help=f"Floating-point precision.  {shared.show_default('precision')}"
)
@shared.device
@click.option("--devices", type=int, metavar="N", help="Number of processes to train with, one per GPU.")
@shared.seed
@click.option("--output", metavar="DIR", help="Run folder to write.  [default: runs/BACKBONE-DATA-N]")
@click.option("--resume", is_flag=True, help="Resume the run in --output, or start it if it does not exist.")
@shared.assignments
@shared.config
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print run.json (with --folds, folds.json) instead of the run folder.",
)
def command(
    backbone: str, data: str, blocks: str | None, output: str | None, recipe: str | None, config: str | None,
    assignments: tuple[str, ...], resume: bool, as_json: bool, devices: int | None, folds: int | None, **flags: Any,
) -> int:  # fmt: skip
    """Fine-tune a backbone on your images.

    Instead of a backbone, FILE.py:FUNCTION trains your own network, which the function returns.

    Prints the run folder on the last line.
    """
    settings = gather_options(config, assignments, flags)
    with torch_session() as (registry, progress):
        from zoo.engine.distributed.launch import launch, needs_launch
        from zoo.training.finetune import finetune

        if devices is not None and needs_launch(devices, settings.get("device", "auto")):
            return launch(sys.argv[1:], devices)
        run = finetune(
            backbone,
            data,
            blocks=blocks,
            output=output,
            resume=resume,
            folds=folds,
            recipe=recipe,
            registry=registry,
            progress=progress,
            **settings,
        )
    if is_first():
        if folds is not None:
            print_notes(*format_folds(run.facts))
        print_json(run.facts) if as_json else print_lines(str(run.path))
    return 0
