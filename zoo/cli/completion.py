"""Shell completion for the names of backbones, data sets, runs and schedules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from zoo.progress.printable import make_printable
from zoo.registry.schedule_design import SCHEDULES


def complete_backbone(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the backbones whose name begins with ``incomplete``; the namespace is omitted until a slash is typed."""
    from zoo.registry.registry import list_backbones

    names = {backbone.name for backbone in list_backbones()}
    if "/" not in incomplete:
        names = {name.partition("/")[2] for name in names}
    return _list_matches(names, incomplete)


def complete_data(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the data sets whose name begins with ``incomplete``; the shell adds files and folders."""
    from zoo.registry.registry import open_registry

    names = {spec.name.rpartition("/")[2] for spec in open_registry().list_datasets()}
    return [*_list_matches(names, incomplete), CompletionItem(incomplete, type="file")]


def complete_run(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the finished runs in ``runs/`` that begin with ``incomplete``; the shell adds folders."""
    runs = {str(path.parent) for path in Path("runs").glob("*/run.json")}
    return [*_list_matches(runs, incomplete), CompletionItem(incomplete, type="dir")]


def complete_schedule(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the learning rate schedules that begin with ``incomplete``."""
    return _list_matches(SCHEDULES, incomplete)


def _list_matches(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """List names, except for names that a terminal would interpret, because completions cannot be escaped."""
    return [
        CompletionItem(name) for name in sorted(names) if name.startswith(incomplete) and make_printable(name) == name
    ]
