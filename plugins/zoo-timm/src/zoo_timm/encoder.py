"""A head for timm's encoders that have no classifier, such as ``qwen3_vit_88m_enc``.

Their forward pass returns features for a language model. The head is added to timm's model, whose class and parameter
names do not change: a forward hook pools the features over the image and passes them to the head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Name of the added layer.
HEAD = "head"


def lacks_head(model: nn.Module) -> bool:
    """Return whether timm cannot build this model with a classifier."""
    return not hasattr(model, "get_classifier")


def add_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Add ``model.head``, which turns the mean of the features into logits of shape (N, num_classes)."""
    width = cast("int", model.head_hidden_size)
    model.add_module(HEAD, nn.Linear(width, num_classes))
    model.register_forward_hook(_classify)
    return model


def _classify(model: nn.Module, _inputs: Sequence[object], features: Tensor) -> Tensor:
    """Pool tokens of shape (N, L, C) or a feature map of shape (N, C, H, W), and return the logits."""
    pooled = features.mean(dim=1) if features.ndim == 3 else features.mean(dim=(2, 3))
    head = cast("nn.Module", model.head)
    return cast("Tensor", head(pooled))
