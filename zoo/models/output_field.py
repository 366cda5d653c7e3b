"""Models whose forward pass returns an object with fields instead of logits, such as those of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

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
    # A lambda could not be pickled with the model.
    model.register_forward_hook(partial(_return_field, field))
    return model


def _return_field(field: str, model: nn.Module, _inputs: object, output: object) -> Tensor:
    return select_field(field, model, output)


def select_field(field: str, model: nn.Module, output: object, what: str = "logits") -> Tensor:
    """Return one field of what a model returned.

    Args:
        field: The name of the field.
        model: The model, for errors.
        output: What it returned.
        what: What the field should hold, for errors.

    Raises:
        PluginError: If the output has no such field, or if it is not a tensor. The message lists the fields that are.
    """
    found: object = None
    if isinstance(output, Mapping):
        found = output.get(field)
    elif not isinstance(output, Tensor):
        found = getattr(output, field, None)
    if isinstance(found, Tensor):
        return found
    if isinstance(output, Tensor):
        raise PluginError(
            f"output_field={field!r} does not match {type(model).__name__}, which returns {describe_output(output)}; "
            "omit output_field."
        )
    raise PluginError(
        f"output_field={field!r} is not a tensor in the output of {type(model).__name__}, {describe_output(output)}; "
        f"declare the field that holds the {what}."
    )


def describe_output(output: object) -> str:
    """Describe what a model returned: the shape of a tensor, or the type of an object and its tensors."""
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    name = type(output).__name__
    kind = f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
    fields = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in list_tensor_fields(output).items())
    return f"{kind} with the tensors {fields}" if fields else kind


def list_tensor_fields(output: object) -> dict[str, Tensor]:
    """Return the fields of an object or a mapping that are tensors; a tensor or a plain tuple has none."""
    return {name: value for name, value in _list_fields(output) if isinstance(value, Tensor)}


def _list_fields(output: object) -> Iterator[tuple[str, Any]]:
    if isinstance(output, Mapping):
        yield from ((name, value) for name, value in output.items() if isinstance(name, str))
    elif not isinstance(output, Tensor):
        slots = (name for kind in type(output).__mro__ for name in _list_slots(kind))
        names = dict.fromkeys((*getattr(output, "_fields", ()), *getattr(output, "__dict__", ()), *slots))
        # Properties are left out, because they can run any code.
        yield from ((name, getattr(output, name, None)) for name in names if not name.startswith("_"))


def _list_slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
