"""``zoo check``."""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TypeVar

import click
from click.exceptions import Exit

from zoo.cli.count import Count
from zoo.cli.flags import name_flags
from zoo.cli.output import format_table, json_option, print_json
from zoo.cli.signals import choose_code
from zoo.cli.streams import print_lines, print_notes
from zoo.data.cores import count_cores
from zoo.errors import NameNotFound, OptionError
from zoo.files.paths import expand_user
from zoo.plugin import WeightsSpec
from zoo.progress import open_progress
from zoo.registry.pin import describe_weak_pin
from zoo.registry.plugins.discovery import get_claims
from zoo.registry.registry import open_registry
from zoo.testing.plugin_under_test import examine
from zoo.testing.promises import BY_NAME, LEVELS, Level
from zoo.testing.results.causes import group_by_cause
from zoo.testing.results.place import PLACE
from zoo.testing.results.result import BAD, Result, count_statuses
from zoo.testing.suite import Suite, Target, find_targets

Key = TypeVar("Key")

#: Up to this number of backbones, the output has one line per backbone.
FEW = 12
#: Maximum number of further backbones that are named for one cause; `--json` names all.
MOST_NAMES = 8
#: Prefixes of the reasons that result from the user's own options.
ASKED_FOR = ("it is above level", "only ")
#: Default maximum number of processes. Each may train a network of 100 million parameters, which needs 6 GiB.
MOST_JOBS = 4


@click.command(name="check")
@click.argument("names", nargs=-1, required=True, metavar="NAMESPACE|BACKBONE...")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="cpu",
    show_default=True,
    help="How thorough to be. Each level includes the ones before it.",
)
@click.option(
    "--only",
    default="",
    metavar="PREFIX",
    help="Run only the checks whose name begins with PREFIX, such as 'head.' or 'head.found', and the checks they "
    "depend on.",
)
@click.option(
    "--max-params",
    type=Count(),
    metavar="N",
    help="For backbones with more than N parameters, such as 100M, run only the checks up to level meta.",
)
@click.option("--each-family", is_flag=True, help="Check only the smallest backbone of each family.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes.  [default: number of cores, but at most 4]",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save results to FILE, and skip backbones whose results FILE already contains.",
)
@json_option
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
    """Check that a plugin does what it declares.

    Checks all backbones of a plugin, or individual backbones. Exits with 1 if a check fails.
    """
    suite = Suite(
        level, only, max_params, each_family, jobs or min(count_cores(), MOST_JOBS), save and expand_user(save)
    )
    with _interruptible(save):
        find_plugin = functools.cache(examine)
        # A wrong name is reported before any check runs.
        targets = find_targets([_find_full_name(name) for name in names], find_plugin)
        results = [*chain.from_iterable(suite.run(target, open_progress(name_flags)) for target in targets)]
    print_notes(*_list_weak_digests(targets))
    if as_json:
        print_json(results)
    else:
        print_lines(*_format(results))
    ctx.exit(int(any(result.status in BAD for result in results)))


@contextmanager
def _interruptible(save: Path | None) -> Iterator[None]:
    """Report what was saved when a signal ends the command, after the worker processes have ended."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if save is not None and save.exists():
            kept = f"{save} contains the results so far; run the same command again to continue"
        else:
            kept = "no results were saved; pass --save FILE to be able to continue after an interruption"
        print_notes(f"interrupted; {kept}")
        raise Exit(choose_code(interrupt)) from None


def _list_weak_digests(targets: Sequence[Target]) -> Iterator[str]:
    """List a note for each plugin with weights that only a weak digest pins; this is not a failure."""
    for target in targets:
        weak = [
            f"{backbone.name}@{weights.tag}"
            for backbone in target.backbones
            if isinstance(backbone.weights, tuple)
            for weights in backbone.weights
            if isinstance(weights, WeightsSpec) and describe_weak_pin(weights)
        ]
        if weak:
            verb = "is" if len(weak) == 1 else "are"
            yield f"note: {_shorten(weak)} {verb} pinned only by SHA-1 or MD5, which are weak; pin a sha256 if possible"


def _find_full_name(name: str) -> str:
    """Return the full name of a bare backbone name; return a namespace or a full name unchanged."""
    if "@" in name:
        raise OptionError(
            f"{name!r} includes a weights tag; remove the tag, because all weights of a backbone are checked."
        )
    if "/" in name:
        return name
    try:
        get_claims(name)  # does not load plugins, since any of them might end the process
    except NameNotFound as missing:
        return _resolve_bare(name, missing)
    return name


def _resolve_bare(name: str, missing: NameNotFound) -> str:
    registry = open_registry()
    if any(plugin.namespace == name for plugin in registry.plugins):
        raise missing  # the plugin is disabled
    try:
        return registry.resolve(name).backbone.name
    except NameNotFound as error:
        known = ", ".join(plugin.namespace for plugin in registry.plugins) or "none"
        raise NameNotFound(f"{error} You can also pass the name of a plugin; installed: {known}.") from error


def _format(results: list[Result]) -> Iterator[str]:
    yield from _format_excuses(results)
    yield from _format_not_run(results)
    yield from _format_failures(results)
    yield from _format_totals(results)
    if upstreams := sorted({result.upstream for result in results} - {""}):
        yield f"checked with {', '.join(upstreams)}"


def _format_failures(results: list[Result]) -> Iterator[str]:
    """List the causes of failures, each cause once, with the first backbones that it affects."""
    for first, *others in group_by_cause(result for result in results if result.status in {*BAD, "xfail"}):
        count = f" and {len(others):,} more" if others else ""
        reason = PLACE.sub(lambda place: f"({_shorten_path(place[1])})", first.reason)
        yield f"{first.status.upper():5}  {first.backbone}{count}  {first.check}: {reason}"
        if others:
            more = f" and {len(others) - MOST_NAMES:,} more" if len(others) > MOST_NAMES else ""
            yield f"       the same: {', '.join(other.backbone for other in others[:MOST_NAMES])}{more}"


def _shorten_path(place: str) -> str:
    """Return a file and a line relative to the working directory if the file is in it."""
    folder = f"{Path.cwd()}{os.sep}"
    return place.removeprefix(folder)


def _format_excuses(results: list[Result]) -> Iterator[str]:
    """List the reasons why checks do not apply, each reason once."""
    excused = [result for result in results if result.status == "n/a"]
    for (check, reason), group in _group(excused, lambda result: (result.check, result.reason)).items():
        yield f"n/a    {_shorten([result.backbone for result in group])}  {check}: {reason}"


def _format_not_run(results: list[Result]) -> Iterator[str]:
    """List the reasons why checks did not run, each reason once."""
    not_run = [result for result in results if result.status == "not-run" and not result.reason.startswith(ASKED_FOR)]
    for reason, group in _group(not_run, lambda result: result.reason).items():
        yield f"not run  {_shorten([result.check for result in group])}: {reason}"


def _shorten(names: Sequence[str]) -> str:
    """Return the first name and the number of remaining names."""
    return f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else names[0]


def _format_totals(results: list[Result]) -> Iterator[str]:
    """Count the passed checks of each plugin and backbone, or of all backbones if there are many."""
    # Plugins and backbones are grouped separately, because a backbone may have the name of its plugin.
    of_plugins = [result for result in results if BY_NAME[result.check].is_of_plugin]
    of_backbones = [result for result in results if not BY_NAME[result.check].is_of_plugin]
    plugins, backbones = (_group(part, lambda result: result.backbone) for part in (of_plugins, of_backbones))
    few = [*plugins.items(), *(backbones.items() if len(backbones) <= FEW else ())]
    yield from format_table([("", "CHECKS"), *((name, count_statuses(group)) for name, group in few)])
    if len(backbones) > FEW:
        bad = len({result.backbone for result in of_backbones if result.status in BAD})
        verdict = f"failed checks in {bad:,}" if bad else "no failed checks"
        yield f"{len(backbones):,} backbones: {count_statuses(of_backbones)}; {verdict}"


def _group(results: Iterable[Result], find_key: Callable[[Result], Key]) -> dict[Key, list[Result]]:
    groups: defaultdict[Key, list[Result]] = defaultdict(list)
    for result in results:
        groups[find_key(result)].append(result)
    return groups
