"""A plugin of unusual backbones that keep every promise."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specimens.good import BLOCKS, TOKEN_BLOCKS, declare_conv
from zoo.plugin import BackboneSpec, BlockSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

ZOO_API = 1

STAGES = tuple(BlockSpec(name, (name,)) for name in ("stem", "layer1", "layer2"))
CLAIMS = ("image_sizes", "bf16", "export")
#: What differs from a network of stages, by the network's name.
CHANGES: dict[str, dict[str, Any]] = {
    "drops-layers-in-training": {"supports": (*CLAIMS, "gradient_checkpointing")},
    "checkpoints-like-transformers": {"supports": (*CLAIMS, "gradient_checkpointing")},
    "has-tied-weights": {"head": ("head", "other_head"), "blocks": TOKEN_BLOCKS, "supports": ()},
    "has-an-auxiliary-head": {
        "head": ("classifier.3",), "aux_heads": ("aux.2",), "aux_weight": 0.3, "blocks": BLOCKS
    },
    "is-a-chain-of-convolutions": {"head": ("classifier.3",), "blocks": BLOCKS},
    "looks-positions-up": {"blocks": (*STAGES[:2], BlockSpec("layer2", ("layer2", "table")))},
    "scales-its-logits": {"unsupported": {"cached_features": "its logits are scaled"}},
}  # fmt: skip
#: Number of parameters of the networks that do not have 2,210.
PARAMS = {
    "drops-layers-in-training": 2778, "has-weight-norm": 2218, "has-tied-weights": 3748, "has-an-auxiliary-head": 2464,
    "begins-with-zero-scales": 2794, "normalizes-a-single-pixel": 1458, "has-frozen-batch-norms": 2178,
    "looks-positions-up": 2226, "attends-on-the-fast-path": 1530, "is-a-chain-of-convolutions": 2374,
}  # fmt: skip


def list_names() -> list[str]:
    """List the names of the networks without importing torch."""
    source = Path(__file__).with_name("unusual_networks.py").read_text(encoding="utf-8")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [node.name.replace("_", "-") for node in functions if node.decorator_list]


def make_builder(name: str) -> Callable[[str | None], nn.Module]:
    def build(_tag: str | None) -> nn.Module:
        from specimens.unusual_networks import NETWORKS

        return NETWORKS[name]()

    return build


@hookimpl
def zoo_backbones() -> Iterator[BackboneSpec]:
    for name in list_names():
        facts = {"build": make_builder(name), "head": ("fc",), "blocks": STAGES, "params": PARAMS.get(name, 2210)}
        yield declare_conv(f"unusual/{name}", **{**facts, "supports": CLAIMS, **CHANGES.get(name, {})})
