"""``zoo rank``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_backbone
from zoo.cli.count import Count
from zoo.cli.options import gather_options
from zoo.cli.output import format_count, format_table, json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines
from zoo.files.atomic import atomic_run_write
from zoo.files.paths import expand_user

if TYPE_CHECKING:
    from zoo.training.rank.record import Ranked

_TITLES = "RANK NAME PROBE 95% KNN LOGME TOP-1 PARAMS SIZE IMAGES/S MEMORY LICENSE"


@click.command(name="rank")
@click.argument("backbones", nargs=-1, metavar="[BACKBONE[=FILE]|PATTERN]...", shell_complete=complete_backbone)
@shared.data
@click.option("--fetch", is_flag=True, help="Download weights that are not on this machine.")
@click.option("--max-params", type=Count(), metavar="N", help="Maximum number of parameters, such as 30M.")
@click.option("--license", "--licence", metavar="LICENSE", help="License of the weights, such as Apache-2.0.")
@click.option("--min-images-per-second", type=float, metavar="N", help="Smallest speed of the network, as measured.")
@click.option("--max-images", type=int, metavar="N", help="Maximum number of images to use.  [default: 2000]")
@click.option("--page", metavar="FILE", help="Write a page with the table and a plot of accuracy against speed.")
@click.option(
    "--finetune", type=click.IntRange(1), metavar="K", help="Fine-tune the best K backbones, and compare them."
)
@click.option("--output", metavar="FOLDER", help="Folder of the runs of --finetune.  [default: runs/rank-DATA]")
@click.option("--recipe", metavar="NAME", help="Recipe of the runs, from registry.toml.")
@click.option("--train", metavar="PART", help="Trainable part of the runs, such as head or head-then-all.")
@click.option("--epochs", type=int, metavar="N", help="Number of epochs of the runs.")
@shared.label_from
@shared.columns
@click.option("--image-size", type=int, metavar="N", help="Height and width in pixels.  [default: from the weights]")
@shared.channels
@shared.device
@shared.seed
@shared.assignments
@shared.config
@json_option
def command(  # the parameters of --set, --config and --page are not options of the library
    backbones: tuple[str, ...], data: str, page: str | None, assignments: tuple[str, ...], config: str | None, *,
    as_json: bool, **flags: Any,
) -> int:  # fmt: skip
    """Rank backbones for your images before anything is trained.

    BACKBONE is a name from `zoo list`, with =FILE for weights in a file. A
    PATTERN such as 'timm/resnet*' chooses the backbones with weights on this
    machine. Without either, all of them are ranked.

    Exits with 1 if no backbone could be ranked. If interrupted, run the same
    command again to continue.
    """
    options = gather_options(config, assignments, flags)
    path = expand_user(page) if page else None
    with torch_session() as (registry, progress):
        from zoo.training.rank.page import build_rank_page
        from zoo.training.rank.rank import rank
        from zoo.training.rank.sentences import describe_suggestion, describe_winner

        records = rank(data, backbones, registry=registry, progress=progress, **options)
        sentence = describe_winner(records) or describe_suggestion(records)
        text = build_rank_page(records, data) if path else ""
    print_json(records) if as_json else print_lines(*_format(records), sentence)
    if path:  # This comes last, so that a page that cannot be written does not lose the ranking.
        with atomic_run_write(path) as partial:
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    is_done = any((record.tuned if options.get("finetune") else record.rank) is not None for record in records)
    return int(not is_done)


def _format(records: Sequence[Ranked]) -> list[str]:
    rows = [tuple(_TITLES.split()), *(_format_row(record) for record in records)]
    return format_table(rows, right=(0, 2, 3, 4, 5, 6, 7, 8, 9, 10))


def _format_row(record: Ranked) -> tuple[str, ...]:
    return tuple(text or "-" for text in _list_cells(record))


def _list_cells(record: Ranked) -> Iterator[str]:
    """Yield the cells of a row; an unknown value is empty."""
    yield _show(record.rank, "{}")
    yield record.name
    yield _show(record.accuracy, "{:.3f}")
    yield f"{record.low:.3f}-{record.high:.3f}" if record.low is not None else ""
    yield _show(record.knn, "{:.3f}")
    yield _show(record.logme, "{:.3f}")
    yield _show(record.catalog, "{:.1f}")
    yield format_count(record.params)
    yield format_count(record.bytes) if record.bytes is not None else ""
    yield _show(record.images_per_second, "{:.0f}")
    yield format_count(record.memory) if record.memory is not None else ""
    yield record.license


def _show(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
