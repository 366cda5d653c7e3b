"""Call a plugin's function that converts the tensors of a published file to the model's own names."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout

import torch
from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.isolation import naming_place
from zoo.registry.plugins.place import find_definition

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def find_tag(backbone: BackboneSpec, source: WeightsSource) -> str | None:
    """Return the tag that ``convert`` receives: that of the weights, or the default one for a user's own file."""
    default = backbone.default_weights
    return source.tag or (default.tag if default else None)


def needs_conversion(
    backbone: BackboneSpec, model: nn.Module, source: WeightsSource, tensors: Mapping[str, Tensor]
) -> bool:
    """Return whether the names of tensors differ from the model's, and the plugin can convert them."""
    if source.header or backbone.convert is None or find_tag(backbone, source) is None:
        return False
    return not tensors.keys() <= model.state_dict().keys()


@torch.no_grad()
def convert_tensors(
    backbone: BackboneSpec, model: nn.Module, source: WeightsSource, tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Call ``convert``; what it prints goes to stderr.

    Args:
        backbone: The backbone, which has a ``convert``.
        model: The built model. ``convert`` receives it if it needs a third argument, and must not change it.
        source: Where the tensors come from.
        tensors: The tensors by name, under the names in the file.

    Returns:
        The tensors by name, under names that should be the model's.

    Raises:
        PluginError: If ``convert`` raises, or does not return a mapping from names to tensors. The message names the
            place in the plugin's code.
        WeightsError: If ``convert`` raises it.
    """
    function: Callable[..., object] | None = backbone.convert
    assert function is not None, "the caller asks needs_conversion first"
    arguments = (find_tag(backbone, source), tensors, *([model] if takes_model(function) else []))
    with (
        naming_place(f"{backbone.name} cannot convert the tensors of {source.file or source.label}"),
        redirect_stdout(sys.stderr),
    ):
        converted = function(*arguments)
    if not isinstance(converted, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in converted.items()
    ):
        place = find_definition(function)
        raise PluginError(f"convert(){place} of {backbone.name} must return a mapping from names to tensors.")
    return converted


def takes_model(function: Callable[..., object]) -> bool:
    """Return whether a function needs three positional arguments.

    A third parameter with a default is the plugin's own: the first version of the contract had two arguments.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # Some built-in functions have no signature.
        return False
    return sum(own.kind in _POSITIONAL and own.default is own.empty for own in parameters) == 3
