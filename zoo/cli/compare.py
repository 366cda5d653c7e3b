"""``zoo compare``."""

from __future__ import annotations

import click

from zoo.cli.output import format_count, format_table, json_option, print_json
from zoo.cli.streams import print_lines, print_notes
from zoo.runs.compare import Compared, compare_runs, list_doubts


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@json_option
def command(runs: tuple[str, ...], as_json: bool) -> None:
    """Compare runs, most accurate first.

    Compares accuracy on the test images if all runs have test images, else on the validation images.
    """
    compared = compare_runs(runs)
    print_notes(*(f"note: {doubt}" for doubt in list_doubts(compared)))
    print_json(compared) if as_json else print_lines(*_format(compared))


def _format(compared: list[Compared]) -> list[str]:
    title = "RUN BACKBONE TRAIN ACCURACY 95% IMAGES GAIN EPOCHS SECONDS TRAINED PARAMS SIZE"
    rows = [tuple(title.split())]
    for one in compared:
        gain = "-" if one.gain is None else f"{100 * one.gain:+.1f}"
        rows.append(
            (
                one.run, one.backbone, one.train, f"{one.accuracy:.3f}", f"{one.low:.3f}-{one.high:.3f}",
                str(one.images), gain,
                str(one.epochs), f"{one.seconds:.1f}", format_count(one.learning), format_count(one.params),
                format_count(one.bytes),
            )
        )  # fmt: skip
    images = f"accuracy and gain on the {'test' if compared[0].split == 'test' else 'validation'} images"
    return [*format_table(rows, right=(3, 5, 6, 7, 8, 9, 10, 11)), images]
