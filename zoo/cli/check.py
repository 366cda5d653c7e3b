"""``zoo check``."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import click

from zoo.cli.list import Count
from zoo.cli.table import format_table
from zoo.errors import NameNotFound
from zoo.progress import open_progress
from zoo.registry import open_registry
from zoo.testing.inquiry import Inquiry, conduct
from zoo.testing.results import BAD, Result, count_statuses
from zoo.testing.table import LEVELS, Level

#: Up to so many backbones, each has a line of its own.
FEW = 12


@click.command(name="check")
@click.argument("names", nargs=-1, required=True, metavar="NAMESPACE|BACKBONE...")
@click.option(
    "--level", type=click.Choice(LEVELS), default="cpu", help="How far to look; each includes the ones before."
)
@click.option(
    "--only", default="", metavar="PREFIX", help="Only checks so named, and what they need: head. or head.found."
)
@click.option("--max-params", type=Count(), metavar="100M", help="Look at larger backbones up to level meta only.")
@click.option("--each-family", is_flag=True, help="Only the smallest backbone of each family.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time; as many as there are cores.")
@click.option("--save", type=click.Path(path_type=Path), help="Keep results here, and go on from what it holds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    level: Level,
    only: str,
    max_params: int | None,
    each_family: bool,
    jobs: int | None,
    save: Path | None,
    as_json: bool,
) -> None:
    """Prove what a plugin, or one backbone, declares.

    Exits with 1 if a promise is not kept.
    """
    inquiry = Inquiry(level, only, max_params, each_family, jobs or os.cpu_count() or 1, save)
    found = (conduct(_find_full_name(name), inquiry, open_progress()) for name in names)
    results = [*dict.fromkeys(chain.from_iterable(found))]  # a plugin that is named twice counts once
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], indent=1))
    else:
        click.echo("\n".join(_format(results)))
    ctx.exit(int(any(result.status in BAD for result in results)))


def _find_full_name(name: str) -> str:
    """Return a namespace or a full name as it is, and the full name that a bare one stands for."""
    registry = open_registry()
    if "/" in name or any(plugin.namespace == name for plugin in registry.plugins):
        return name
    try:
        return registry.resolve(name).backbone.name
    except NameNotFound as error:
        known = ", ".join(plugin.namespace for plugin in registry.plugins) or "none"
        raise NameNotFound(f"{error} Or name a plugin: installed are {known}.") from error


def _format(results: list[Result]) -> Iterator[str]:
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.backbone, []).append(result)
    yield from _format_excuses(results)
    yield from (
        f"{result.status.upper():5}  {result.backbone}  {result.check}: {result.reason}"
        for result in results
        if result.status in BAD or result.status == "xfail"
    )
    yield from _format_totals(by_name)


def _format_excuses(results: Iterable[Result]) -> Iterator[str]:
    """Say, once for all that it is true of, why a promise is not made."""
    excuses = Counter((result.check, result.reason) for result in results if result.status == "n/a")
    for (check, reason), count in excuses.items():
        of = f" ({count:,} backbones)" if count > 1 else ""
        yield f"n/a    {check}: {reason}{of}"


def _format_totals(by_name: dict[str, list[Result]]) -> Iterator[str]:
    """Say how many promises are kept, of how many."""
    plugins = {name: results for name, results in by_name.items() if "/" not in name}
    backbones = {name: results for name, results in by_name.items() if "/" in name}
    few = {**plugins, **(backbones if len(backbones) <= FEW else {})}
    yield format_table([("", "CHECKS"), *((name, count_statuses(results)) for name, results in few.items())])
    if len(backbones) > FEW:
        everything = [result for results in backbones.values() for result in results]
        bad = sum(any(result.status in BAD for result in results) for results in backbones.values())
        verdict = f"broken promises in {bad:,}" if bad else "every promise is kept"
        yield f"{len(backbones):,} backbones: {count_statuses(everything)}; {verdict}"
