"""Models whose forward pass returns an object with fields instead of logits, such as those of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from zoo.errors import PluginError


def return_field(model: nn.Module, field: str) -> nn.Module:
    """Make a model return one field of its output.

    A forward hook selects the field, so the model keeps its class and the names of its parameters.

    Args:
        model: The model, which is changed in place.
        field: The name of an attribute of the output, or of a key if the output is a mapping.

    Returns:
        The same model.
    """
    model.register_forward_hook(partial(_select, field))
    return model


def _select(field: str, model: nn.Module, _inputs: object, output: object) -> object:
    if isinstance(output, Mapping) and field in output:
        return output[field]
    if not isinstance(output, (Mapping, Tensor)) and hasattr(output, field):
        return getattr(output, field)
    kind, known = type(output).__name__, ", ".join(_list_fields(output)) or "none"
    raise PluginError(
        f"output_field={field!r} does not match the output of {type(model).__name__}, a {kind} with the fields: "
        f"{known}; correct it, or omit it if the model returns a tensor."
    )


def _list_fields(output: object) -> list[str]:
    if isinstance(output, Mapping):
        return [*map(str, output)]
    return [] if isinstance(output, Tensor) else [name for name in dir(output) if not name.startswith("_")]
