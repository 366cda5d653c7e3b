"""Build torchvision's networks offline and silently, and rename published tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from zoo.plugin import InputSpec
from zoo_torchvision.catalog import get_facts, get_weights_facts
from zoo_torchvision.families import FAMILIES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_torchvision.family import Family


def build_backbone(name: str, tag: str | None) -> nn.Module:
    """Build torchvision's ``name`` with random weights, so that the weights ``tag`` or the default weights fit.

    If the file of the tag contains all parameters, upstream's slow initialization is skipped, as in upstream.
    """
    family = FAMILIES[get_facts(name)["module"]]
    size: tuple[int, int, int] = get_weights_facts(name, tag)["input"].get("size", InputSpec().size)
    return build_network(name, family, image_size=size[1], init_weights=tag is None or tag in family.lacks)


def build_network(name: str, family: Family, *, image_size: int, init_weights: bool) -> nn.Module:
    """Call torchvision's builder with the options that the family accepts."""
    from torchvision.models import get_model  # type: ignore[import-untyped]  # torchvision ships no types

    options: dict[str, int | bool] = {}
    if family.image_size:
        options["image_size"] = image_size
    if family.init_weights:
        options["init_weights"] = init_weights
    network: nn.Module = get_model(name, weights=None, **options)
    return network


def rename_tensors(renames: Mapping[str, str], tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:  # noqa: ARG001  # required by the contract
    """Rename the tensors of an older published file to the model's current names."""
    return {_rename(renames, key): tensor for key, tensor in tensors.items()}


def _rename(renames: Mapping[str, str], key: str) -> str:
    for pattern, replacement in renames.items():
        key = re.sub(pattern, replacement, key)
    return key
