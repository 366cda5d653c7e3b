"""What holds for all of timm, and needs no timm to be said."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.plugin import Capability

#: SPDX identifier of timm's code.
CODE_LICENSE = "Apache-2.0"
#: The name under which timm's hub loader looks first (``timm/models/_hub.py``).
HUB_FILE = "model.safetensors"
POOLS_AFTERWARDS = "its head is the projection of an attention pool, which picks one token afterwards"
ADDS_TOKENS = "it adds to its head's logits half of the best that a second head gives for any token"
ONE_SIZE = "its position embedding, or its windows, are made for one size"


def hub_url(hub_id: str, file: str | None = None) -> str:
    """Give the address of a weights file on the hub."""
    return f"hf://{hub_id}/{file or HUB_FILE}"


def constructor(name: str) -> str:
    """Give the expression that builds an architecture without zoo; timm takes the image size from its own cfg."""
    return f'timm.create_model("{name}", num_classes={{num_classes}})'


class Claims(TypedDict):
    """What a backbone claims that it can do, and what not."""

    supports: tuple[Capability, ...]
    unsupported: Mapping[str, str]


@cache
def claims(head: tuple[str, ...], *, image_sizes: bool) -> Claims:
    """Claim what a network of timm can do, and say why not: a handful of different ones for a thousand networks."""
    lacks: dict[str, str] = {} if image_sizes else {"image_sizes": ONE_SIZE}
    if head == ("head.proj",):
        lacks["cached_features"] = POOLS_AFTERWARDS
    if "aux_head" in head:
        lacks["cached_features"] = ADDS_TOKENS
    capable: tuple[Capability, ...] = ("image_sizes", "bf16")
    return {"supports": tuple(claim for claim in capable if claim not in lacks), "unsupported": lacks}
