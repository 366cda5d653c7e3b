"""The catalog of the known checkpoints, read without importing transformers.

`zoo_transformers.make_catalog` writes ``catalog.json`` from ``checkpoints.toml`` and the installed transformers. Each
line contains one backbone, one input or one list of blocks. Inputs and blocks that several backbones share are stored
once, under the first of these backbones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugin import BlockSpec, InputSpec, checks_deferred
from zoo_transformers.architecture import NUM_CLASSES, Architecture
from zoo_transformers.facts import Checkpoint, Facts, make_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.plugin import BackboneSpec

CATALOG = Path(__file__).with_name("catalog.json")

Row = dict[str, Any]

#: Values that are omitted from the file.
DEFAULTS: Row = {
    "values": {}, "processor": None, "preprocessing": {}, "sizes": "any", "output": "logits", "unused": (),
    "reads_values": False, "repository": None, "labels": NUM_CLASSES,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A backbone in the catalog."""

    facts: Facts
    checkpoint: Checkpoint | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The backbones of one version of transformers."""

    #: Version of transformers that was read, such as ``transformers==5.24.0``.
    upstream: str
    entries: Mapping[str, Entry]
    #: Specs, by name.
    backbones: Mapping[str, BackboneSpec]

    def find_repository(self, repository: str) -> BackboneSpec | None:
        """Return the backbone with the weights of a repository, or None if there is none."""
        for name, entry in self.entries.items():
            if entry.checkpoint is not None and entry.checkpoint.repository == repository:
                return self.backbones[name]
        return None


@cache
def packaged_catalog() -> Catalog:
    """Return the catalog of this package, which is read only once."""
    # The tests check the specs. Checking them on every load would take as long as reading them.
    with checks_deferred():
        return load_catalog(CATALOG.read_text(encoding="utf-8"))


def load_catalog(text: str) -> Catalog:
    """Build the specs from the JSON that `dump_catalog` returned."""
    table = json.loads(text)
    inputs = {key: _load_input(row) for key, row in table["inputs"].items()}
    blocks = {key: tuple(map(_load_block, rows)) for key, rows in table["blocks"].items()}
    entries = {name: _load_entry({**DEFAULTS, **row}, inputs, blocks) for name, row in table["backbones"].items()}
    upstream = table["upstream"]
    specs = {name: make_spec(name, entry.facts, entry.checkpoint, upstream) for name, entry in entries.items()}
    return Catalog(upstream, entries, specs)


def _load_entry(row: Row, inputs: Mapping[str, InputSpec], blocks: Mapping[str, tuple[BlockSpec, ...]]) -> Entry:
    architecture = Architecture(
        row["model"], row["config"], row["values"], row["processor"], row["preprocessing"], row["sizes"]
    )
    facts = Facts(
        architecture=architecture,
        family=row["family"],
        params=row["params"],
        head=tuple(row["head"]),
        blocks=blocks[row["blocks"]],
        input=inputs[row["input"]],
        output=row["output"],
        unused=tuple(row["unused"]),
        reads_values=row["reads_values"],
    )
    repository = row["repository"]
    return Entry(facts, None if repository is None else Checkpoint(repository, row["labels"]))


def dump_catalog(upstream: str, entries: Mapping[str, Entry]) -> str:
    """Return a catalog as JSON for `load_catalog`. The same backbones always result in the same text."""
    inputs: dict[InputSpec, str] = {}
    blocks: dict[tuple[BlockSpec, ...], str] = {}
    rows = {}
    for name, entry in entries.items():
        facts, given, checkpoint = entry.facts, entry.facts.architecture, entry.checkpoint
        row = {
            "family": facts.family, "model": given.model, "config": given.config, "values": given.values,
            "processor": given.processor, "preprocessing": given.preprocessing, "sizes": given.sizes,
            "params": facts.params, "head": facts.head, "blocks": blocks.setdefault(facts.blocks, name),
            "input": inputs.setdefault(facts.input, name), "output": facts.output, "unused": facts.unused,
            "reads_values": facts.reads_values,
            "repository": checkpoint and checkpoint.repository,
            "labels": checkpoint.labels if checkpoint else NUM_CLASSES,
        }  # fmt: skip
        rows[name] = {key: value for key, value in row.items() if key not in DEFAULTS or value != DEFAULTS[key]}
    tables: dict[str, Row] = {
        "inputs": {key: _dump_input(shared) for shared, key in inputs.items()},
        "blocks": {key: [_dump_block(block) for block in shared] for shared, key in blocks.items()},
        "backbones": rows,
    }
    return _format_tables(upstream, tables)


def _format_tables(upstream: str, tables: Mapping[str, Row]) -> str:
    """Return the tables as JSON with one entry per line, so that a diff shows which entries changed."""
    parts = [f'"upstream":{json.dumps(upstream)}']
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


def _load_block(row: list[str]) -> BlockSpec:
    return BlockSpec(row[0], tuple(row[1:]))


def _dump_block(block: BlockSpec) -> list[str]:
    return [block.name, *block.prefixes]
