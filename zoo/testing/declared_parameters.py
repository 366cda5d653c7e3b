"""The parameters that a backbone declares as fixed or unused, each prefix of which must match a parameter."""

from __future__ import annotations

from typing import Literal

from zoo.models.head import is_below
from zoo.models.untrained import find_prefixes, list_below
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import list_prefixes, suggest


def list_declared(backbone: BackboneUnderTest, field: Literal["fixed", "unused"]) -> frozenset[str]:
    """Return all names of the declared parameters.

    Raises:
        CheckFailed: If a prefix matches no parameter of the model as built.
        PluginError: If the plugin's function fails.
    """
    names = [name for name, _ in backbone.meta.named_parameters(remove_duplicate=False)]
    prefixes = find_prefixes(backbone.spec, backbone.meta, field)
    for prefix in prefixes:
        if not any(is_below(name, prefix) for name in names):
            raise CheckFailed(
                f"{field} has the prefix {prefix}, which no parameter of the model has; "
                f"{suggest(prefix, list_prefixes(names))}."
            )
    return list_below(backbone.meta, prefixes)
