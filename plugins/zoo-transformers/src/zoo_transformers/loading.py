"""Load published tensors into transformers' model, which knows the names that its older versions used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from zoo_transformers.heads import find_heads
from zoo_transformers.prefixes import covers
from zoo_transformers.quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def load_tensors(model_class: Any, config: Any, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors of a published file under the names of the installed transformers.

    Args:
        model_class: Class of the model.
        config: Configuration with the file's number of classes.
        tensors: The tensors, by the names in the file.

    Raises:
        ValueError: If the tensors belong to a different network.
    """
    with quiet_transformers():
        try:
            model, info = model_class.from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True, dtype=torch.float32
            )
        except (RuntimeError, KeyError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"the tensors do not match {model_class.__name__} ({reason})") from error
    missing = info["missing_keys"]
    heads = find_heads(model_class, config)
    if lost := sorted(name for name in missing if not any(covers(head, name) for head in heads)):
        raise ValueError(
            f"the tensors do not match {model_class.__name__}: {lost[0]} and {len(lost) - 1} more are missing"
        )
    return {name: tensor for name, tensor in model.state_dict().items() if name not in missing}
