"""``zoo list``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from zoo.cli.count import Count
from zoo.cli.output import format_count, format_table, json_option, print_json
from zoo.cli.plugins import warn_unknown_names
from zoo.cli.streams import print_lines, print_notes
from zoo.errors import OptionError
from zoo.plugin import BackboneSpec
from zoo.registry.registry import Registry, list_backbones, open_registry

#: What each value of --sort sorts by. The most accurate backbone comes first, and those of unknown accuracy last.
_ORDERS: dict[str, Callable[[BackboneSpec], Any]] = {
    "accuracy": lambda backbone: -(_find_accuracy(backbone) or 0.0),
    "params": lambda backbone: backbone.params,
    "name": lambda backbone: backbone.name,
}


@click.command(name="list")
@click.argument("pattern", required=False)
@click.option("--plugin", metavar="PLUGIN", help="List only the backbones of this plugin.")
@click.option("--family", metavar="FAMILY", help="List only this family, such as vgg or resnet.")
@click.option(
    "--max-params", type=Count(), metavar="N", help="List only backbones with at most N parameters, such as 30M."
)
@click.option(
    "--license",
    "--licence",
    metavar="LICENSE",
    help="List only backbones whose default weights have this license, such as Apache-2.0.",
)
@click.option("--sort", type=click.Choice([*_ORDERS]), default="name", show_default=True, help="Order of the list.")
@json_option
def command(pattern: str | None, as_json: bool, max_params: int | None, sort: str, **filters: str | None) -> None:
    """List the available backbones.

    PATTERN matches any part of the name. If it contains * or ?, it must match the full name, as in 'timm/vit_*'.
    """
    registry = open_registry()
    _warn_unusable(registry)
    chosen = list_backbones(pattern, registry)
    for flag, wanted in filters.items():
        chosen = _filter(chosen, registry, flag, wanted)
    chosen = [backbone for backbone in chosen if max_params is None or backbone.params <= max_params]
    chosen.sort(key=_ORDERS[sort])  # They are sorted by name, and keep this order if they are equal.
    if as_json:
        print_json([_describe(backbone) for backbone in chosen])
    else:
        print_lines(*_format(chosen))


def find_license(backbone: BackboneSpec) -> str:
    """Return the license of the default weights, or the license of the code if there are no weights."""
    return backbone.default_weights.license if backbone.default_weights else backbone.license


def _find_accuracy(backbone: BackboneSpec) -> float | None:
    """Return the accuracy of the default weights in percent, or None if it is unknown."""
    return backbone.default_weights.accuracy if backbone.default_weights else None


_PROPERTIES: dict[str, Callable[[BackboneSpec], str]] = {
    "plugin": lambda backbone: backbone.name.partition("/")[0],
    "family": lambda backbone: backbone.family,
    "license": find_license,
}


def _warn_unusable(registry: Registry) -> None:
    for plugin in registry.plugins:
        if plugin.state not in ("ok", "disabled"):
            print_notes(f"warning: plugin {plugin.namespace} is {plugin.state}: {plugin.reason}")
    warn_unknown_names(registry.plugins)


def _filter(backbones: list[BackboneSpec], registry: Registry, flag: str, wanted: str | None) -> list[BackboneSpec]:
    """Keep the backbones of one plugin, family or license, ignoring case."""
    if wanted is None:
        return backbones
    find = _PROPERTIES[flag]
    known = sorted({find(backbone) for backbone in registry.list_backbones()})
    if flag == "plugin":
        known = [plugin.namespace for plugin in registry.plugins if plugin.is_usable]
    if wanted.lower() not in map(str.lower, known):
        raise OptionError(f"no {flag} {wanted!r}; available: {', '.join(known) or 'none'}.")
    return [backbone for backbone in backbones if find(backbone).lower() == wanted.lower()]


def _describe(backbone: BackboneSpec) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "family": backbone.family,
        "params": backbone.params,
        "license": find_license(backbone),
        "accuracy": _find_accuracy(backbone),
        "weights": [weights.tag for weights in backbone.weights],
    }


def _format(backbones: list[BackboneSpec]) -> list[str]:
    rows = [("NAME", "FAMILY", "PARAMS", "TOP-1", "LICENSE", "WEIGHTS")]
    for backbone in backbones:
        more = f" +{len(backbone.weights) - 1}" if len(backbone.weights) > 1 else ""
        tag = f"{backbone.weights[0].tag}{more}" if backbone.weights else "none"
        accuracy = _find_accuracy(backbone)
        top = "-" if accuracy is None else f"{accuracy:.1f}"
        rows.append((backbone.name, backbone.family, format_count(backbone.params), top, find_license(backbone), tag))
    return [*format_table(rows, right=(2, 3)), f"{len(backbones)} backbone{'s' * (len(backbones) != 1)}"]
