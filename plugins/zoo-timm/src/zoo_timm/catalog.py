"""The catalog of timm's backbones, read without importing timm.

`zoo_timm.make_catalog` writes ``catalog.json``. Each line contains one architecture, one input or one list of
blocks. Inputs and blocks that several architectures share are stored once, under the first of these architectures.
The accuracies are not part of timm's distribution; `zoo_timm.add_accuracies` adds them from a file of its repository.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, WeightsSpec, checks_deferred
from zoo_timm.building import NUM_CLASSES, Upstream
from zoo_timm.facts import CODE_LICENSE, claims, constructor, hub_url, list_expected_failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CATALOG = Path(__file__).with_name("catalog.json")

Row = dict[str, Any]

#: Values that are omitted from the file. A `url` of None means the default location on the Hugging Face Hub.
BACKBONE_DEFAULTS: Row = {
    "classifier": None, "headless": False, "image_sizes": False, "first_conv": None, "standardized": False,
    "weights": [],
}  # fmt: skip
WEIGHTS_DEFAULTS: Row = {
    "url": None, "sha256": None, "num_classes": NUM_CLASSES, "accuracy": None, "input": None, "lacks": (),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Catalog:
    """The backbones of one version of timm."""

    #: Version of timm that was read, such as ``timm==1.0.31``.
    upstream: str
    #: Address of the file with the accuracies, which names the commit.
    accuracies: str
    #: Specs, keyed by timm's names, in timm's order.
    backbones: Mapping[str, BackboneSpec]


@cache
def packaged_catalog() -> Catalog:
    """Return the catalog of this package, which is read only once."""
    # The tests check the specs. Checking them on every load would take as long as reading them.
    with checks_deferred():
        return load_catalog(CATALOG.read_text(encoding="utf-8"))


def load_catalog(text: str) -> Catalog:
    """Build the specs from the JSON that `dump_catalog` returned."""
    table = json.loads(text)
    upstream = table["upstream"]
    inputs = {key: _load_input(row) for key, row in table["inputs"].items()}
    blocks = {key: tuple(_load_block(*_split(row)) for row in rows) for key, rows in table["blocks"].items()}
    backbones = {}
    for name, listed in table["backbones"].items():
        row = {**BACKBONE_DEFAULTS, **listed}
        source = Upstream(name)
        weights = tuple(_load_weights(name, weights, inputs) for weights in row["weights"])
        backbones[name] = BackboneSpec(
            name=f"timm/{name}",
            family=row["family"],
            build=source.build,
            head=tuple(row["head"]),
            blocks=blocks[row["blocks"]],
            params=row["params"],
            license=CODE_LICENSE,
            input=inputs[row["input"]],
            preprocessing=source.preprocessing,
            weights=weights,
            num_classes=NUM_CLASSES,
            classifier=row["classifier"],
            convert=source.convert,
            upstream=upstream,
            constructor=None if row["headless"] else constructor(name),
            first_conv=tuple(row["first_conv"]) if isinstance(row["first_conv"], list) else row["first_conv"],
            expected_failures=list_expected_failures(weights, is_standardized=row["standardized"]),
            **claims(tuple(row["head"]), image_sizes=row["image_sizes"], channels=row["first_conv"] is not None),
        )
    return Catalog(upstream, table["accuracies"], backbones)


def dump_catalog(upstream: str, accuracies: str, specs: Sequence[BackboneSpec]) -> str:
    """Return specs as JSON for `load_catalog`. The same specs always result in the same text."""
    inputs: dict[InputSpec, str] = {}
    blocks: dict[Any, str] = {}
    rows = {}
    for spec in specs:
        name = spec.name.partition("/")[2]
        rows[name] = _without_defaults(
            {
                "family": spec.family,
                "params": spec.params,
                "head": spec.head,
                "blocks": blocks.setdefault(spec.blocks, name),
                "input": inputs.setdefault(spec.input, name),
                "classifier": spec.classifier,
                "headless": spec.constructor is None,
                "image_sizes": "image_sizes" in spec.supports,
                "first_conv": spec.first_conv,
                "standardized": "can.grayscale" in spec.expected_failures,
                "weights": [_dump_weights(name, weights, inputs) for weights in spec.weights],
            },
            BACKBONE_DEFAULTS,
        )
    tables: dict[str, Row] = {
        "inputs": {key: _dump_input(shared) for shared, key in inputs.items()},
        "blocks": {key: [_dump_block(block) for block in shared] for shared, key in blocks.items()},
        "backbones": rows,
    }
    return _format_tables({"upstream": upstream, "accuracies": accuracies}, tables)


def _without_defaults(row: Row, defaults: Row) -> Row:
    return {key: value for key, value in row.items() if key not in defaults or value != defaults[key]}


def _format_tables(sources: Mapping[str, str], tables: Mapping[str, Row]) -> str:
    """Return the tables as JSON with one entry per line, so that a diff shows which entries changed."""
    parts = [f"{json.dumps(key)}:{json.dumps(source)}" for key, source in sources.items()]
    for title, table in tables.items():
        entries = (f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in table.items())
        parts.append(f"{json.dumps(title)}:{{\n" + ",\n".join(entries) + "\n}")
    return "{" + ",\n".join(parts) + "}\n"


def _load_input(row: Row) -> InputSpec:
    tuples = {field: tuple(row[field]) for field in ("size", "mean", "std")}
    return InputSpec(**{**row, **tuples})


def _dump_input(spec: InputSpec) -> Row:
    fields = ("size", "resize", "crop", "interpolation", "mean", "std", "min_size")
    return {field: value for field in fields if (value := getattr(spec, field)) is not None}


def _split(row: str | list[str]) -> Sequence[str]:
    """Return the name and the prefixes of a block. A name alone is also its only prefix."""
    return (row, row) if isinstance(row, str) else row


@cache
def _load_block(name: str, *prefixes: str) -> BlockSpec:
    """Build a block, or return an equal one: the networks have 4,380 blocks, but few different ones."""
    return BlockSpec(name, prefixes)


def _dump_block(block: BlockSpec) -> str | list[str]:
    return block.name if block.prefixes == (block.name,) else [block.name, *block.prefixes]


def _load_weights(name: str, row: Row, inputs: Mapping[str, InputSpec]) -> WeightsSpec:
    row = {**WEIGHTS_DEFAULTS, **row}
    return WeightsSpec(
        tag=row["tag"],
        url=row["url"] or hub_url(f"timm/{name}.{row['tag']}"),
        license=row["license"],
        sha256=row["sha256"],
        num_classes=row["num_classes"],
        accuracy=row["accuracy"],
        input=inputs[row["input"]] if row["input"] else None,
        lacks=tuple(row["lacks"]),
    )


def _dump_weights(name: str, spec: WeightsSpec, inputs: dict[InputSpec, str]) -> Row:
    row = {
        "tag": spec.tag,
        "license": spec.license,
        "url": None if spec.url == hub_url(f"timm/{name}.{spec.tag}") else spec.url,
        "sha256": spec.sha256,
        "num_classes": spec.num_classes,
        "accuracy": spec.accuracy,
        "input": inputs.setdefault(spec.input, f"{name}.{spec.tag}") if spec.input else None,
        "lacks": spec.lacks,
    }
    return _without_defaults(row, WEIGHTS_DEFAULTS)
