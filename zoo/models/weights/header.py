"""The header of a model file that zoo wrote: everything needed to use the model."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from zoo.errors import OptionError, PluginError
from zoo.files.schema import ModelHeader
from zoo.files.validation import Invalid, parse_fields
from zoo.plugin import InputSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.origin import Origin

#: Fields of the origin of a network, except for its blocks, which only run.json contains.
_ORIGIN = ("type", "head", "file", "function", "sha256")
#: Version of the header.
FORMAT = "1"


@dataclass(frozen=True)
class Header:
    """Metadata of a model file."""

    backbone: str
    tag: str | None
    head: str
    classes: tuple[str, ...]
    input: InputSpec
    #: Name of the initial weights, and their license; both ``none`` for random weights.
    weights: str
    weights_license: str
    #: How the network was built if no plugin provides it, else None.
    network: Origin | None = None

    def to_metadata(self) -> dict[str, str]:
        """Return the header as safetensors metadata, in which all values are strings."""
        values = dataclasses.asdict(self)
        if self.network is None:
            del values["network"]
        fields = {name: json.dumps(value) for name, value in values.items()}
        return {"format": "pt", "zoo_format": FORMAT, **fields}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Header:
        """Parse safetensors metadata.

        Raises:
            Invalid: If the file was not written by zoo, was written by a newer version, or is damaged.
        """
        if metadata.get("zoo_format") != FORMAT:
            found = metadata.get("zoo_format", "none")
            raise Invalid(
                f"has zoo format {found}, but this version reads format {FORMAT}; upgrade zoo, or train again"
            )
        if "weights_licence" in metadata:  # Version 0.1 used this spelling.
            metadata = {"weights_license": metadata["weights_licence"], **metadata}
        try:
            fields = parse_fields(metadata, ModelHeader)
            given = InputSpec(**_make_tuples(fields["input"]))
            HeadDesign.parse(fields["head"])
            _refuse_twins(fields["classes"])
        except (Invalid, OptionError, PluginError) as error:
            raise Invalid(f"has a damaged header: {error!s:.300}") from error
        return cls(**{  # type: ignore[arg-type]
            **fields,
            "input": given,
            "classes": tuple(fields["classes"]),
            "network": _parse_origin(fields.get("network")),
        })  # fmt: skip


def _parse_origin(fields: Mapping[str, Any] | None) -> Origin | None:
    return None if fields is None else Origin(**{name: fields[name] for name in _ORIGIN})


def _refuse_twins(classes: Sequence[str]) -> None:
    """Refuse classes with the same name, because a prediction could mean either of them."""
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise Invalid(f"it has several classes called {twice[0]!r}")


def _make_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields, with tuples in place of JSON's lists."""
    known = {field.name for field in dataclasses.fields(InputSpec)} & fields.keys()
    return {name: tuple(fields[name]) if isinstance(fields[name], list) else fields[name] for name in known}


def find_header(path: Path) -> Header | None:
    """Return the header of a model file, or None if zoo did not write the file.

    Raises:
        Invalid: If the header is damaged or was written by a newer version.
        OSError: If the file cannot be read.
        SafetensorError: If it is not a safetensors file.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    return Header.from_metadata(metadata) if "zoo_format" in metadata else None
