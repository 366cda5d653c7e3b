"""``zoo compare``."""

from __future__ import annotations

import dataclasses
import json

import click

from zoo.cli.table import format_count, format_table
from zoo.runs.compare import Compared, compare_runs, find_doubts


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(runs: tuple[str, ...], as_json: bool) -> None:
    """Put runs side by side, the most accurate first.

    By the test images where all runs have some, else by the validation images.
    """
    compared = compare_runs(runs)
    for doubt in find_doubts(compared):
        click.echo(f"note: {doubt}", err=True)
    click.echo(json.dumps([dataclasses.asdict(one) for one in compared], indent=2) if as_json else _format(compared))


def _format(compared: list[Compared]) -> str:
    rows = [("RUN", "BACKBONE", "TRAIN", "ACCURACY", "95 %", "GAIN", "EPOCHS", "SECONDS", "LEARNED", "PARAMS", "SIZE")]
    for one in compared:
        gain = "-" if one.gain is None else f"{100 * one.gain:+.1f}"
        rows.append(
            (
                one.run, one.backbone, one.train, f"{one.accuracy:.3f}", f"{one.low:.3f}-{one.high:.3f}", gain,
                str(one.epochs), f"{one.seconds:.1f}", format_count(one.learning), format_count(one.params),
                format_count(one.bytes),
            )
        )  # fmt: skip
    images = f"accuracy on {compared[0].images} {'test' if compared[0].split == 'test' else 'validation'} images"
    return f"{format_table(rows, right=(3, 5, 6, 7, 8, 9, 10))}\n{images}"
