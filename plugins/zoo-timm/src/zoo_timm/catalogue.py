"""The catalogue: what timm's backbones are, read without importing timm.

``catalogue.json`` is made by `zoo_timm.make_catalogue` and holds one architecture, one input or one list of blocks a
line. Many architectures share inputs and blocks; these stand once, under the first architecture that has them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, WeightsSpec, checks_deferred
from zoo_timm.building import NUM_CLASSES, Upstream
from zoo_timm.facts import CODE_LICENSE, claims, constructor, hub_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CATALOGUE = Path(__file__).with_name("catalogue.json")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The backbones of one timm version."""

    #: ``timm==1.0.31``.
    upstream: str
    #: By timm's own name, in timm's order.
    backbones: Mapping[str, BackboneSpec]


@cache
def packaged_catalogue() -> Catalogue:
    """Read the catalogue in this package, once."""
    # It was checked when it was written, and is in the tests; at every start that would take as long as reading does.
    with checks_deferred():
        return load_catalogue(CATALOGUE.read_text(encoding="utf-8"))


def load_catalogue(text: str) -> Catalogue:
    """Make the specs that `dump_catalogue` wrote."""
    table = json.loads(text)
    upstream = table["upstream"]
    inputs = {key: _load_input(row) for key, row in table["inputs"].items()}
    known: dict[tuple[str, ...], BlockSpec] = {}
    blocks = {key: tuple(_load_block(known, row) for row in rows) for key, rows in table["blocks"].items()}
    backbones = {}
    for name, row in table["backbones"].items():
        source = Upstream(name)
        backbones[name] = BackboneSpec(
            name=f"timm/{name}",
            family=row["family"],
            build=source.build,
            head=tuple(row["head"]),
            blocks=blocks[row["blocks"]],
            params=row["params"],
            license=CODE_LICENSE,
            input=inputs[row["input"]],
            weights=tuple(_load_weights(name, weights, inputs) for weights in row.get("weights", ())),
            num_classes=NUM_CLASSES,
            classifier=row.get("classifier"),
            convert=source.convert,
            upstream=upstream,
            constructor=None if row.get("headless") else constructor(name),
            **claims(tuple(row["head"]), image_sizes="image_sizes" in row),
        )
    return Catalogue(upstream, backbones)


def dump_catalogue(upstream: str, specs: Sequence[BackboneSpec]) -> str:
    """Write specs as JSON that `load_catalogue` reads; the same specs give the same text."""
    inputs: dict[InputSpec, str] = {}
    blocks: dict[Any, str] = {}
    rows = {}
    for spec in specs:
        name = spec.name.partition("/")[2]
        row: Row = {"family": spec.family, "params": spec.params, "head": spec.head}
        row["blocks"] = blocks.setdefault(spec.blocks, name)
        row["input"] = inputs.setdefault(spec.input, name)
        row |= {"classifier": spec.classifier} if spec.classifier else {}
        row |= {"headless": True} if spec.constructor is None else {}
        row |= {"image_sizes": True} if "image_sizes" in spec.supports else {}
        row |= {"weights": weights} if (weights := [_dump_weights(name, w, inputs) for w in spec.weights]) else {}
        rows[name] = row
    tables: dict[str, Row] = {
        "inputs": {key: _dump_input(shared) for shared, key in inputs.items()},
        "blocks": {key: [_dump_block(block) for block in shared] for shared, key in blocks.items()},
        "backbones": rows,
    }
    return _lines(upstream, tables)


def _lines(upstream: str, tables: Mapping[str, Row]) -> str:
    """Write one entry a line, so that a changed fact is a changed line."""
    parts = []
    for title, table in tables.items():
        entries = (f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in table.items())
        parts.append(f"{json.dumps(title)}:{{\n" + ",\n".join(entries) + "\n}")
    return f'{{"upstream":{json.dumps(upstream)},\n' + ",\n".join(parts) + "}\n"


def _load_input(row: Row) -> InputSpec:
    tuples = {field: tuple(row[field]) for field in ("size", "mean", "std")}
    return InputSpec(**{**row, **tuples})


def _dump_input(spec: InputSpec) -> Row:
    fields = ("size", "resize", "crop", "interpolation", "mean", "std", "min_size")
    return {field: value for field in fields if (value := getattr(spec, field)) is not None}


def _load_block(known: dict[tuple[str, ...], BlockSpec], row: str | list[str]) -> BlockSpec:
    """Make a block once for all models that have it, of its name and prefixes or of a name that is the only prefix."""
    key = (row, row) if isinstance(row, str) else tuple(row)
    block = known.get(key)
    if block is None:
        block = known[key] = BlockSpec(key[0], key[1:])
    return block


def _dump_block(block: BlockSpec) -> str | list[str]:
    return block.name if block.prefixes == (block.name,) else [block.name, *block.prefixes]


def _load_weights(name: str, row: Row, inputs: Mapping[str, InputSpec]) -> WeightsSpec:
    tag = row["tag"]
    return WeightsSpec(
        tag=tag,
        url=row.get("url") or hub_url(f"timm/{name}.{tag}"),
        license=row["license"],
        sha256=row.get("sha256"),
        num_classes=row.get("num_classes", NUM_CLASSES),
        input=inputs[row["input"]] if "input" in row else None,
        lacks=tuple(row.get("lacks", ())),
    )


def _dump_weights(name: str, spec: WeightsSpec, inputs: dict[InputSpec, str]) -> Row:
    """Leave out what is the same nearly everywhere: the place on the hub, and 1000 classes."""
    row: Row = {"tag": spec.tag, "license": spec.license}
    row |= {"url": spec.url} if spec.url != hub_url(f"timm/{name}.{spec.tag}") else {}
    row |= {"sha256": spec.sha256} if spec.sha256 else {}
    row |= {"num_classes": spec.num_classes} if spec.num_classes != NUM_CLASSES else {}
    row |= {"input": inputs.setdefault(spec.input, f"{name}.{spec.tag}")} if spec.input else {}
    row |= {"lacks": spec.lacks} if spec.lacks else {}
    return row
