"""The conformance kit, which checks that a plugin does what it declares, in pytest or with ``zoo check``.

A plugin author's complete test file:

    from zoo.testing import conformance

    test_conformance = conformance("acme")

Nothing here imports torch until a check that needs it runs, or until one of the two functions is used that help an
author to write a catalog: `make_on_meta` and `first_uses`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo.testing.plugin_under_test import examine
from zoo.testing.promises import CHECKS, LEVELS, Check, list_checks
from zoo.testing.pytest_cases import conformance
from zoo.testing.results.result import BAD, Result
from zoo.testing.runner import Scope, check_backbone, check_plugin

if TYPE_CHECKING:
    from zoo.models.on_meta import make_on_meta
    from zoo.models.parameter_order import first_uses

__all__ = [
    "BAD",
    "CHECKS",
    "LEVELS",
    "Check",
    "Result",
    "Scope",
    "check_backbone",
    "check_plugin",
    "conformance",
    "examine",
    "first_uses",
    "list_checks",
    "make_on_meta",
]

_HOMES = {"first_uses": "zoo.models.parameter_order", "make_on_meta": "zoo.models.on_meta"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
