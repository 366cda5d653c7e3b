"""``zoo evaluate``."""

from __future__ import annotations

import json
from typing import Any

import click

from zoo.cli.completion import RunFolderName
from zoo.cli.flags import name_flags
from zoo.cli.process import computing
from zoo.cli.table import format_table
from zoo.progress import open_progress
from zoo.registry.recipe import DEVICES


@click.command(name="evaluate")
@click.argument("run", type=RunFolderName())
@click.option(
    "--data", required=True, metavar="DATA", help="A folder of images, an archive of one, or a data set's name."
)
@click.option("--split", type=click.Choice(["train", "val", "test", "all"]), help="[default: test, else val, else all]")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: str, data: str, split: str | None, device: str, as_json: bool) -> None:  # click's
    """Measure RUN on labelled images."""
    with computing() as registry:
        from zoo.runs.classifier import load

        result = load(run, device=device, registry=registry).evaluate(
            data, split, registry=registry, progress=open_progress(name_flags)
        )
    click.echo(json.dumps(result, indent=2) if as_json else _format(result))


def _format(result: dict[str, Any]) -> str:
    rows = [("CLASS", "IMAGES", "PRECISION", "RECALL")]
    for name, figures in result["per_class"].items():
        shares = ("-" if share is None else f"{share:.3f}" for share in (figures["precision"], figures["recall"]))
        rows.append((name, str(figures["images"]), *shares))
    accuracy = f"accuracy {result['accuracy']:.4f} on {result['images']} images ({result['split']})"
    return f"{accuracy}\n{format_table(rows, right=(1, 2, 3))}"
