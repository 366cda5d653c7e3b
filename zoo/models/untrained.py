"""Parameters that are never trained: upstream builds them as constants, or its forward pass does not use them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal
from weakref import WeakKeyDictionary

from torch import nn

from zoo.errors import PluginError
from zoo.models.head import is_below_any
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.isolation import naming_place
from zoo.registry.plugins.place import find_definition

#: Names of the parameters with ``requires_grad=False`` in the models that users have built with zoo.
_FIXED: WeakKeyDictionary[nn.Module, frozenset[str]] = WeakKeyDictionary()


def list_fixed(model: nn.Module) -> frozenset[str]:
    """Return all names of the parameters that do not require gradients. Call this before anything is frozen.

    Such a parameter is a constant of the network, such as a mask of zeros and ones or sine-cosine positions.
    """
    parameters = model.named_parameters(remove_duplicate=False)
    return frozenset(name for name, parameter in parameters if not parameter.requires_grad)


def remember_fixed(model: nn.Module) -> None:
    """Remember what `list_fixed` returns for a model that was just built, for as long as the model exists."""
    _FIXED[model] = list_fixed(model)


def recall_fixed(model: nn.Module) -> frozenset[str]:
    """Return what was remembered about a model; nothing for a model that zoo has not built."""
    return _FIXED.get(model, frozenset())


def list_unused(backbone: BackboneSpec, model: nn.Module) -> frozenset[str]:
    """Return all names of the parameters that the backbone declares as unused.

    Raises:
        PluginError: If the plugin's function fails, or returns something else than prefixes.
    """
    return list_below(model, find_prefixes(backbone, model, "unused"))


def list_below(model: nn.Module, prefixes: Sequence[str]) -> frozenset[str]:
    """Return all names of the parameters that have at least one name under one of the prefixes."""
    parameters = [*model.named_parameters(remove_duplicate=False)]
    found = {id(parameter) for name, parameter in parameters if is_below_any(name, prefixes)}
    return frozenset(name for name, parameter in parameters if id(parameter) in found)


def find_prefixes(backbone: BackboneSpec, model: nn.Module, field: Literal["fixed", "unused"]) -> tuple[str, ...]:
    """Return the prefixes that a backbone declares, as data or with a function of the built model.

    Raises:
        PluginError: If the function fails, or returns something else than a tuple of prefixes.
    """
    declared = backbone.fixed if field == "fixed" else backbone.unused
    if not callable(declared):
        return declared
    with naming_place(f"{backbone.name} cannot list its {field} parameters"):
        prefixes = declared(model)
    if not (isinstance(prefixes, tuple) and all(isinstance(prefix, str) for prefix in prefixes)):
        place = find_definition(declared)
        raise PluginError(
            f"{field}(){place} of {backbone.name} returned {prefixes!r:.80}; it must return a tuple of prefixes of "
            "parameter names."
        )
    return prefixes


def count_parameters(model: nn.Module, names: Collection[str]) -> int:
    """Return the number of parameters with these names; a shared parameter counts once."""
    return sum(parameter.numel() for name, parameter in model.named_parameters() if name in names)


def describe_parameters(parameters: Mapping[str, nn.Parameter]) -> str:
    """Return the number of parameters and tensors, and the first names."""
    names, count = [*parameters], sum(parameter.numel() for parameter in parameters.values())
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    tensors = f"{len(names)} tensor{'s' * (len(names) != 1)}"
    return f"{count:,} parameter{'s' * (count != 1)} in {tensors} ({listed})"
