"""``zoo list``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.plugins import say_unknown_names
from zoo.cli.table import format_count, format_table
from zoo.errors import OptionError
from zoo.plugin import BackboneSpec
from zoo.registry.registry import Registry, list_backbones, open_registry

if TYPE_CHECKING:  # generic in newer releases of click only
    NumberType = click.ParamType[int]
else:
    NumberType = click.ParamType

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


#: A number without a unit below this is taken for one whose unit was forgotten.
FEWEST = 1000


class Count(NumberType):
    """A number with an optional unit: 30M."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)([kmgb]?)", str(value).lower())
        if match is None:
            self.fail(f"{value!r} is not a number; write 30M or 500k.", param, ctx)
        if not match[2] and float(match[1]) < FEWEST:
            self.fail(f"no backbone has so few parameters; did you mean {value}M?", param, ctx)
        return round(float(match[1]) * _UNITS[match[2]])


@click.command(name="list")
@click.argument("pattern", required=False)
@click.option("--plugin", metavar="P", help="Only this plugin's.")
@click.option("--family", metavar="F", help="Only this family: vgg, resnet, ...")
@click.option("--max-params", type=Count(), metavar="30M", help="Only backbones with at most this many parameters.")
@click.option(
    "--license", "--licence", metavar="L", help="Only with this license of the default weights: Apache-2.0, ..."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(pattern: str | None, as_json: bool, max_params: int | None, **filters: str | None) -> None:
    """List the backbones whose name holds or matches PATTERN.

    A pattern with * or ? is matched against the whole name: timm/vit_*.
    """
    registry = open_registry()
    _say_unusable(registry)
    chosen = list_backbones(pattern, registry)
    for flag, wanted in filters.items():
        chosen = _filter(chosen, registry, flag, wanted)
    chosen = [backbone for backbone in chosen if max_params is None or backbone.params <= max_params]
    if as_json:
        click.echo(json.dumps([_describe(backbone) for backbone in chosen], indent=1))
    else:
        click.echo(_format(chosen))


def find_license(backbone: BackboneSpec) -> str:
    """Return the license of what is loaded by default."""
    return backbone.default_weights.license if backbone.default_weights else backbone.license


_PROPERTIES: dict[str, Callable[[BackboneSpec], str]] = {
    "plugin": lambda backbone: backbone.name.partition("/")[0],
    "family": lambda backbone: backbone.family,
    "license": find_license,
}


def _say_unusable(registry: Registry) -> None:
    for plugin in registry.plugins:
        if plugin.state not in ("ok", "disabled"):
            click.echo(f"plugin {plugin.namespace} is {plugin.state}: {plugin.reason}", err=True)
    say_unknown_names(registry.plugins)


def _filter(backbones: list[BackboneSpec], registry: Registry, flag: str, wanted: str | None) -> list[BackboneSpec]:
    """Keep those whose plugin, family or license is the wanted one, whatever the case."""
    if wanted is None:
        return backbones
    find = _PROPERTIES[flag]
    known = sorted({find(backbone) for backbone in registry.list_backbones()})
    if flag == "plugin":
        known = [plugin.namespace for plugin in registry.plugins if plugin.state == "ok"]
    if wanted.lower() not in map(str.lower, known):
        raise OptionError(f"no {flag} {wanted!r}; there are {', '.join(known) or 'none'}.")
    return [backbone for backbone in backbones if find(backbone).lower() == wanted.lower()]


def _describe(backbone: BackboneSpec) -> dict[str, Any]:
    default = backbone.default_weights
    return {
        "name": backbone.name,
        "family": backbone.family,
        "params": backbone.params,
        "license": find_license(backbone),
        "accuracy": default.accuracy if default else None,
        "weights": [weights.tag for weights in backbone.weights],
    }


def _format(backbones: list[BackboneSpec]) -> str:
    rows = [("NAME", "FAMILY", "PARAMS", "LICENSE", "WEIGHTS")]
    for backbone in backbones:
        more = f" +{len(backbone.weights) - 1}" if len(backbone.weights) > 1 else ""
        tag = f"{backbone.weights[0].tag}{more}" if backbone.weights else "none"
        rows.append((backbone.name, backbone.family, format_count(backbone.params), find_license(backbone), tag))
    return f"{format_table(rows, right=(2,))}\n{len(backbones)} backbone{'s' * (len(backbones) != 1)}"
