"""The last layers of a model, found by building it for two numbers of classes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from zoo_transformers.quiet import quiet_transformers


def find_heads(model_class: Any, config: Any) -> tuple[str, ...]:
    """Return the dotted paths of the layers whose number of outputs is the number of classes.

    transformers has no common name for them. Comparing two models also tells a head from a hidden layer that happens to
    have as many outputs.
    """
    one, two = (_list_layers(model_class, config, count) for count in (3, 5))
    return tuple(path for path, outputs in one.items() if outputs != two[path])


def _list_layers(model_class: Any, config: Any, count: int) -> dict[str, int]:
    config = copy.deepcopy(config)
    config.num_labels = count
    with quiet_transformers(), torch.device("meta"):
        model = model_class(config)
    layers = (pair for pair in model.named_modules() if isinstance(pair[1], (nn.Linear, nn.Conv2d)))
    return {path: layer.weight.shape[0] for path, layer in layers}
