"""``zoo plugins``."""

from __future__ import annotations

import click

from zoo.cli.output import format_table, json_option, print_json
from zoo.cli.streams import print_lines, print_notes
from zoo.registry.plugins.discovery import list_unknown_names
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import open_registry


@click.command(name="plugins")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins.

    If a plugin cannot be used, also shows the reason.
    """
    plugins = open_registry().plugins
    if as_json:
        print_json([_describe(plugin) for plugin in plugins])
    else:
        print_lines(*_format(plugins))
    warn_unknown_names(plugins)
    if ctx.find_root().params["debug"]:
        print_notes(*(line for plugin in plugins for line in plugin.details.splitlines()))


def warn_unknown_names(plugins: tuple[Plugin, ...]) -> None:
    """Warn about each plugin that an environment variable names but that is not installed."""
    for name in list_unknown_names(plugins):
        print_notes(f"warning: ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS names {name}, which is not installed")


def _describe(plugin: Plugin) -> dict[str, object]:
    return {
        "namespace": plugin.namespace,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": plugin.state,
        "reason": plugin.reason,
        "backbones": len(plugin.backbones),
        "datasets": [dataset.name for dataset in plugin.datasets],
        "sources": [source.prefix for source in plugin.sources],
        "output": plugin.output,
    }


def _format(plugins: tuple[Plugin, ...]) -> list[str]:
    rows = [("NAMESPACE", "DISTRIBUTION", "VERSION", "STATE", "BACKBONES", "DATA SETS", "SOURCES")]
    for plugin in plugins:
        counts = str(len(plugin.backbones)), str(len(plugin.datasets)), str(len(plugin.sources))
        rows.append((plugin.namespace, plugin.distribution, plugin.version, plugin.state, *counts))
    lines = format_table(rows, right=(4, 5, 6))
    lines += [f"{plugin.namespace}: {plugin.reason}" for plugin in plugins if plugin.reason]
    lines += [
        f"{plugin.namespace} printed while it was loading: {plugin.output!r:.200}"
        for plugin in plugins
        if plugin.output
    ]
    return lines if plugins else ["no plugins are installed; the README shows how to install one"]
