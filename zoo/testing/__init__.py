"""The conformance kit, which checks that a plugin does what it declares, in pytest or with ``zoo check``.

A plugin author's complete test file:

    from zoo.testing import conformance

    test_conformance = conformance("acme")

Nothing here imports torch until a check that needs it runs.
"""

from __future__ import annotations

from zoo.testing.promises import CHECKS, LEVELS, Check, list_checks
from zoo.testing.pytest_cases import conformance
from zoo.testing.results.result import BAD, Result
from zoo.testing.runner import check_backbone, check_plugin

__all__ = ["BAD", "CHECKS", "LEVELS", "Check", "Result", "check_backbone", "check_plugin", "conformance", "list_checks"]
