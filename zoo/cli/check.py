"""``zoo check``."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import click
from click.exceptions import Exit

from zoo.cli.flags import name_flags
from zoo.cli.list import Count
from zoo.cli.signals import choose_code
from zoo.cli.table import format_table
from zoo.data.cores import count_cores
from zoo.errors import NameNotFound, OptionError
from zoo.progress import open_progress
from zoo.registry.discovery import get_claims
from zoo.registry.registry import open_registry
from zoo.testing.plugin_under_test import examine
from zoo.testing.promises import BY_NAME, LEVELS, Level
from zoo.testing.results.result import BAD, Result, count_statuses
from zoo.testing.suite import Suite, find_target

#: Up to this many backbones, each has a line of its own.
FEW = 12
#: How the reasons begin that the caller knows.
ASKED_FOR = ("it is above level", "only ")
#: Processes that train networks of a hundred million parameters each want 6 GiB of memory each.
MOST_JOBS = 4


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
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time; one for each core, but at most four.")
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
    suite = Suite(level, only, max_params, each_family, jobs or min(count_cores(), MOST_JOBS), save)
    with _interruptible(save):
        find_plugin = functools.cache(examine)
        targets = [find_target(_find_full_name(name), find_plugin) for name in names]  # all, before an hour goes by
        found = (suite.run(target, open_progress(name_flags)) for target in targets)
        results = [*dict.fromkeys(chain.from_iterable(found))]  # a plugin that is named twice counts once
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], indent=1))
    else:
        click.echo("\n".join(_format(results)))
    ctx.exit(int(any(result.status in BAD for result in results)))


@contextmanager
def _interruptible(save: Path | None) -> Iterator[None]:
    """Say what was saved when a signal ends the command, once its worker processes have ended."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if save is not None and save.exists():
            kept = f"{save} holds what was seen whole; the same command goes on from there"
        else:
            kept = "nothing was kept; with --save FILE the same command goes on where it was"
        click.echo(f"interrupted; {kept}", err=True)
        raise Exit(choose_code(interrupt)) from None


def _find_full_name(name: str) -> str:
    """Return a namespace or a full name as it is, and the full name that a bare one stands for."""
    if "@" in name:
        raise OptionError(f"{name!r} names weights; all weights of a backbone are looked at: leave them out.")
    if "/" in name:
        return name
    try:
        get_claims(name)  # no plugin is run: one of the others may end the process
    except NameNotFound as missing:
        return _resolve_bare(name, missing)
    return name


def _resolve_bare(name: str, missing: NameNotFound) -> str:
    registry = open_registry()
    if any(plugin.namespace == name for plugin in registry.plugins):
        raise missing  # it is switched off
    try:
        return registry.resolve(name).backbone.name
    except NameNotFound as error:
        known = ", ".join(plugin.namespace for plugin in registry.plugins) or "none"
        raise NameNotFound(f"{error} Or name a plugin: installed are {known}.") from error


def _format(results: list[Result]) -> Iterator[str]:
    yield from _format_excuses(results)
    yield from _format_not_run(results)
    yield from (
        f"{result.status.upper():5}  {result.backbone}  {result.check}: {result.reason}"
        for result in results
        if result.status in BAD or result.status == "xfail"
    )
    yield from _format_totals(results)


def _format_excuses(results: list[Result]) -> Iterator[str]:
    """List why promises are not made, each reason once."""
    excused: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for result in results:
        if result.status == "n/a":
            excused[result.check, result.reason].append(result.backbone)
    for (check, reason), names in excused.items():
        yield f"n/a    {names[0]}{_count_others(names)}  {check}: {reason}"


def _format_not_run(results: list[Result]) -> Iterator[str]:
    """List why checks did not run, each reason once."""
    not_run: defaultdict[str, list[str]] = defaultdict(list)
    for result in results:
        if result.status == "not-run" and not result.reason.startswith(ASKED_FOR):
            not_run[result.reason].append(result.check)
    for reason, checks in not_run.items():
        yield f"not run  {checks[0]}{_count_others(checks)}: {reason}"


def _count_others(names: Sequence[str]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""


def _format_totals(results: list[Result]) -> Iterator[str]:
    """Show how many promises are kept, of how many."""
    plugins, backbones = (_group(results, of_plugin=of_plugin) for of_plugin in (True, False))
    few = [*plugins.items(), *(backbones.items() if len(backbones) <= FEW else ())]
    yield format_table([("", "CHECKS"), *((name, count_statuses(own)) for name, own in few)])
    if len(backbones) > FEW:
        everything = [result for own in backbones.values() for result in own]
        bad = sum(any(result.status in BAD for result in own) for own in backbones.values())
        verdict = f"broken promises in {bad:,}" if bad else "every promise is kept"
        yield f"{len(backbones):,} backbones: {count_statuses(everything)}; {verdict}"


def _group(results: list[Result], *, of_plugin: bool) -> Mapping[str, list[Result]]:
    """Group by name the results of plugins, or those of backbones: one of these may be called like its plugin."""
    groups: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        if BY_NAME[result.check].is_of_plugin == of_plugin:
            groups[result.backbone].append(result)
    return groups
