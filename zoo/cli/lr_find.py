"""``zoo lr-find``."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_backbone
from zoo.cli.options import gather_options
from zoo.cli.output import print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines
from zoo.files.atomic import atomic_run_write
from zoo.files.paths import expand_user


@click.command(name="lr-find")
@click.argument("backbone", shell_complete=complete_backbone, metavar="BACKBONE|FILE.py:FUNCTION")
@shared.data
@shared.label_from
@shared.columns
@shared.weights
@shared.head
@shared.blocks
@click.option(
    "--train",
    metavar="SCOPE",
    help=f"What to train: head, all, from:BLOCK, or a list such as head,layer4,!norms.  {shared.show_default('train')}",
)
@shared.batch_size
@shared.optimizer
@shared.device
@shared.seed
@shared.assignments
@shared.config
@click.option("--plot", metavar="FILE", help="Plot the loss against the learning rate, as an SVG file.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print every learning rate that was tried, with its loss, as JSON."
)
def command(
    backbone: str, data: str, blocks: str | None, assignments: tuple[str, ...], config: str | None,
    plot: str | None, as_json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Find a good learning rate for a backbone on your images.

    Prints the learning rate at which the loss falls fastest. The trained model is discarded.
    """
    settings = gather_options(config, assignments, flags)
    with torch_session() as (registry, progress):
        from zoo.runs.report.lr_plot import draw_rates
        from zoo.training.lr_find import find_lr

        found = find_lr(backbone, data, blocks=blocks, registry=registry, progress=progress, **settings)
    if as_json:
        print_json(found)
    elif found.suggested is not None:
        print_lines(f"{found.suggested:.2g}")
    if plot:
        with atomic_run_write(expand_user(plot)) as path:
            path.write_text(draw_rates(found.tried, found.suggested), encoding="utf-8")
    if found.suggested is None and not as_json:
        raise click.ClickException("the loss does not fall at any learning rate; check the images and their labels.")
