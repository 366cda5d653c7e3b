"""Facts about all of timm's backbones that are known without importing timm."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.plugin import Capability

#: SPDX identifier of the license of timm's code.
CODE_LICENSE = "Apache-2.0"
#: File name that timm's hub loader tries first (``timm/models/_hub.py``).
HUB_FILE = "model.safetensors"
POOLS_AFTERWARDS = "its head is the projection of an attention pool, which selects one token afterwards"
ADDS_TOKENS = "it adds half of the best logits that a second head returns for any token to the logits of its head"
ONE_SIZE = "its position embedding or its windows fit one size only"


def hub_url(hub_id: str, file: str | None = None) -> str:
    """Return the URL of a weights file on the hub."""
    return f"hf://{hub_id}/{file or HUB_FILE}"


def constructor(name: str) -> str:
    """Return the expression that builds an architecture without zoo. timm takes the image size from its own cfg."""
    return f'timm.create_model("{name}", num_classes={{num_classes}})'


class Claims(TypedDict):
    """What a backbone claims to support, and what it does not support."""

    supports: tuple[Capability, ...]
    unsupported: Mapping[str, str]


@cache
def claims(head: tuple[str, ...], *, image_sizes: bool) -> Claims:
    """Return the claims of a backbone and the reasons for what is missing. The results are few, so they are shared."""
    lacks: dict[str, str] = {} if image_sizes else {"image_sizes": ONE_SIZE}
    if head == ("head.proj",):
        lacks["cached_features"] = POOLS_AFTERWARDS
    if "aux_head" in head:
        lacks["cached_features"] = ADDS_TOKENS
    capable: tuple[Capability, ...] = ("image_sizes", "bf16")
    return {"supports": tuple(claim for claim in capable if claim not in lacks), "unsupported": lacks}
