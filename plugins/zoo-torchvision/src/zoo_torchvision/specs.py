"""Build the specs from catalog.json, which has facts from upstream, and from families.py, which has our own."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from zoo.plugin import BackboneSpec, BlockSpec, Capability, InputSpec, WeightsSpec
from zoo_torchvision.catalog import load_catalog
from zoo_torchvision.families import FAMILIES
from zoo_torchvision.family import Blocks, Family
from zoo_torchvision.model import build_backbone, rename_tensors
from zoo_torchvision.preprocessing import build_preprocessing

#: License of torchvision's code.
LICENSE = "BSD-3-Clause"
#: Capabilities of a network unless its family declares otherwise.
CLAIMS: tuple[Capability, ...] = ("image_sizes", "channels", "bf16")


@cache
def list_specs() -> tuple[BackboneSpec, ...]:
    """Describe every backbone in the catalog. The specs are built only once."""
    catalog = load_catalog()
    return tuple(_describe(name, facts, catalog["upstream"]) for name, facts in catalog["backbones"].items())


def find_blocks(family: Family, name: str) -> Blocks:
    """Return the blocks of the network ``name``."""
    return next(blocks for start, blocks in family.blocks.items() if name.startswith(start))


def _describe(name: str, facts: dict[str, Any], upstream: str) -> BackboneSpec:
    family = FAMILIES[facts["module"]]
    inputs = [_describe_input(family, weights["input"]) for weights in facts["weights"]]
    return BackboneSpec(
        name=f"torchvision/{name}",
        family=family.name,
        build=partial(build_backbone, name),
        head=(family.head,),
        classifier=family.classifier,
        aux_heads=family.aux_heads,
        aux_weight=family.aux_weight,
        blocks=_describe_blocks(tuple(find_blocks(family, name).items())),
        params=facts["params"],
        license=LICENSE,
        input=inputs[0],
        preprocessing=partial(build_preprocessing, name),
        weights=tuple(
            _describe_weights(family, weights, None if own == inputs[0] else own)
            for weights, own in zip(facts["weights"], inputs, strict=True)
        ),
        first_conv=family.first_conv,
        convert=partial(rename_tensors, family.renames) if family.renames else None,
        upstream=upstream,
        constructor=_constructor(name, family),
        supports=tuple(claim for claim in CLAIMS if claim not in family.unsupported),
        unsupported=family.unsupported,
    )


@cache
def _describe_blocks(blocks: tuple[tuple[str, str], ...]) -> tuple[BlockSpec, ...]:
    return tuple(BlockSpec(name, tuple(prefixes.split())) for name, prefixes in blocks)


def _describe_input(family: Family, facts: dict[str, Any]) -> InputSpec:
    lists_to_tuples = {field: tuple(value) if isinstance(value, list) else value for field, value in facts.items()}
    return InputSpec(**{**lists_to_tuples, **family.input})


def _describe_weights(family: Family, facts: dict[str, Any], own_input: InputSpec | None) -> WeightsSpec:
    return WeightsSpec(
        tag=facts["tag"],
        url=facts["url"],
        sha256=facts["sha256"],
        size=facts["size"],
        license=facts["license"],
        num_classes=facts["num_classes"],
        accuracy=facts["accuracy"],
        input=own_input,
        lacks=family.lacks.get(facts["tag"], ()),
    )


def _constructor(name: str, family: Family) -> str | None:
    if family.constructor is None:
        return None
    return f"torchvision.models.{name}(num_classes={{num_classes}}{family.constructor})"
