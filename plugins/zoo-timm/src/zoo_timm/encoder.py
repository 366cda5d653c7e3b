"""A head for timm's encoders that have none, such as ``qwen3_vit_88m_enc``.

Their forward gives features for a language model to read. The head is added to timm's model, which keeps its class and
its parameter names: a hook pools the features over the image and runs the head on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


#: The name of the added layer.
HEAD = "head"


def lacks_head(model: nn.Module) -> bool:
    """Whether timm gives this model no classifier at all, not even on demand."""
    return not hasattr(model, "get_classifier")


def add_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Add ``model.head``, which turns the mean feature into logits of shape (N, num_classes)."""
    width = cast("int", model.head_hidden_size)
    model.add_module(HEAD, nn.Linear(width, num_classes))
    model.register_forward_hook(_classify)
    return model


def _classify(model: nn.Module, _inputs: Sequence[object], features: Tensor) -> Tensor:
    """Pool tokens of shape (N, L, C) or a feature map of shape (N, C, H, W), and run the head."""
    pooled = features.mean(dim=1) if features.ndim == 3 else features.mean(dim=(2, 3))
    head = cast("nn.Module", model.head)
    return cast("Tensor", head(pooled))
