"""``zoo info``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from zoo.cli.completion import complete_backbone
from zoo.cli.output import format_count, format_table, json_option, print_json
from zoo.cli.streams import print_lines, print_notes
from zoo.plugin import BackboneSpec, InputSpec, WeightsSpec
from zoo.plugin.capabilities import list_first_convs
from zoo.registry.pin import describe_weak_pin
from zoo.registry.registry import open_registry
from zoo.registry.resolved import Resolved

#: Text for a part that is known only after the model is built.
COMPUTED = "known after building"
#: Number of channels that needs no mention.
RGB = 3


@click.command(name="info")
@click.argument("backbone", shell_complete=complete_backbone)
@json_option
def command(backbone: str, as_json: bool) -> None:
    """Show the details of a backbone.

    Shows its head, blocks, input, weights and license, as its plugin declares them.
    """
    resolved = open_registry().resolve(backbone)
    weak = filter(None, map(describe_weak_pin, resolved.backbone.weights))
    print_notes(*(f"note: {note}" for note in (*resolved.notes, *weak)))
    if as_json:
        print_json(_describe(resolved.backbone))
    else:
        print_lines(*_format(resolved))


def _describe(backbone: BackboneSpec) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "family": backbone.family,
        "params": backbone.params,
        "license": backbone.license,
        "num_classes": backbone.num_classes,
        "head": None if callable(backbone.head) else backbone.head,
        "head_parameters": backbone.head_parameters,
        "features": backbone.features,
        "output_field": backbone.output_field,
        "aux_heads": backbone.aux_heads,
        "aux_weight": backbone.aux_weight,
        "classifier": backbone.classifier,
        "blocks": None if callable(backbone.blocks) else backbone.blocks,
        "fixed": None if callable(backbone.fixed) else backbone.fixed,
        "unused": None if callable(backbone.unused) else backbone.unused,
        "first_conv": list_first_convs(backbone),
        "input": backbone.input,
        "weights": backbone.weights,
        "upstream": backbone.upstream,
        "constructor": backbone.constructor,
        "supports": backbone.supports,
        "unsupported": dict(backbone.unsupported),
        "expected_failures": dict(backbone.expected_failures),
    }


def _format(resolved: Resolved) -> Iterator[str]:
    backbone = resolved.backbone
    head = COMPUTED if callable(backbone.head) else ", ".join((*backbone.head, *backbone.head_parameters))
    if backbone.features is not None:
        head += f" (zoo adds it; upstream returns {backbone.features:,} features)"
    blocks = COMPUTED if callable(backbone.blocks) else ", ".join(block.name for block in backbone.blocks)
    if resolved.asked != resolved.name:
        yield f"{resolved.asked} -> {resolved.name}"
    facts = [
        ("name", backbone.name),
        ("family", backbone.family),
        ("parameters", f"{backbone.params:,}"),
        ("code license", backbone.license),
        ("head", head),
        *([("auxiliary", ", ".join(backbone.aux_heads))] if backbone.aux_heads else []),
        ("classifier", backbone.classifier or "same as head"),
        ("blocks", blocks),
        *_format_untrained(backbone),
        ("input", _format_input(backbone.input)),
        ("source", backbone.upstream or "the plugin"),
        *([("supports", ", ".join(backbone.supports))] if backbone.supports else []),
    ]
    yield from format_table(facts)
    yield ""
    yield from _format_weights(backbone)


def _format_untrained(backbone: BackboneSpec) -> Iterator[tuple[str, str]]:
    """Yield the parameters that are never trained, if there are any."""
    for name, prefixes in (("fixed", backbone.fixed), ("unused", backbone.unused)):
        if prefixes:
            yield name, COMPUTED if callable(prefixes) else ", ".join(prefixes)


def _format_input(spec: InputSpec) -> str:
    channels, height, width = spec.size
    count = "" if channels == RGB else f", {channels} channel{'s' * (channels != 1)}"
    return f"{width} x {height}{count}, resized to {spec.resize} ({spec.interpolation}, {spec.crop} crop)"


def _format_weights(backbone: BackboneSpec) -> list[str]:
    if not backbone.weights:
        return ["no published weights"]
    rows: list[tuple[str, ...]] = [("WEIGHTS", "CLASSES", "TOP-1", "SIZE", "LICENSE", "INPUT")]
    rows += [_format_row(backbone, weights) for weights in backbone.weights]
    return format_table(rows, right=(1, 2, 3))


def _format_row(backbone: BackboneSpec, weights: WeightsSpec) -> tuple[str, ...]:
    return (
        weights.tag,
        str(weights.num_classes or "no head"),
        f"{weights.accuracy:.1f}" if weights.accuracy is not None else "",
        f"{format_count(weights.size)}B" if weights.size else "",
        weights.license,
        _format_input(weights.input or backbone.input),
    )
