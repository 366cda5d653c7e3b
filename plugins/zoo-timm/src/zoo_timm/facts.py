"""Facts about timm's backbones that are available without importing timm."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo.plugin import Capability, WeightsSpec

#: SPDX identifier of the license of timm's code.
CODE_LICENSE = "Apache-2.0"
#: File name that timm's hub loader tries first (``timm/models/_hub.py``).
HUB_FILE = "model.safetensors"
POOLS_AFTERWARDS = "its head is the projection of an attention pool, which then selects one token"
ADDS_TOKENS = "it adds half of a second head's maximum logits over all tokens to the logits of its head"
NO_FIRST_CONV = "its first layer is not a convolution of the three channels"
STANDARDIZES = "its first convolution standardizes its weights after they are summed over the channels, as in timm"
ONE_SIZE = "its position embedding or its windows support only one image size"


def hub_url(hub_id: str, file: str | None = None) -> str:
    """Return the URL of a weights file on the Hub."""
    return f"hf://{hub_id}/{file or HUB_FILE}"


def constructor(name: str) -> str:
    """Return the expression that builds an architecture without zoo. timm reads the image size from its cfg."""
    return f'timm.create_model("{name}", num_classes={{num_classes}})'


def list_expected_failures(weights: Sequence[WeightsSpec], *, is_standardized: bool) -> dict[str, str]:
    """Return the checks that are known to fail, each with the reason.

    Args:
        weights: The published weights. zoo does not download some of them.
        is_standardized: Whether the first convolution standardizes its weights.
    """
    pickles = [spec.tag for spec in weights if spec.sha256 is None and not str(spec.url).endswith(".safetensors")]
    reason = f"the weights {', '.join(pickles)} are a pickle for which timm has no SHA-256"
    failures = {"spec.weights": reason} if pickles else {}
    return {**failures, "can.grayscale": STANDARDIZES} if is_standardized else failures


class Claims(TypedDict):
    """Capabilities that a backbone claims, and those that it lacks."""

    supports: tuple[Capability, ...]
    unsupported: Mapping[str, str]


@cache
def claims(head: tuple[str, ...], *, image_sizes: bool, channels: bool) -> Claims:
    """Return the claims of a backbone. There are few different claims, so they are cached and shared."""
    lacks: dict[str, str] = {} if image_sizes else {"image_sizes": ONE_SIZE}
    if not channels:
        lacks["channels"] = NO_FIRST_CONV
    if head == ("head.proj",):
        lacks["cached_features"] = POOLS_AFTERWARDS
    if "aux_head" in head:
        lacks["cached_features"] = ADDS_TOKENS
    capable: tuple[Capability, ...] = ("image_sizes", "channels", "bf16")
    return {"supports": tuple(claim for claim in capable if claim not in lacks), "unsupported": lacks}
