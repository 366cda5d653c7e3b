"""The conformance kit: proves what a plugin declares, by pytest or by ``zoo check``.

An author's whole test file:

    from zoo.testing import conformance

    test_conformance = conformance("acme")

Nothing here imports torch before a check that needs it runs.
"""

from __future__ import annotations

from zoo.testing.cases import conformance
from zoo.testing.results import BAD, Result
from zoo.testing.session import check_backbone, check_plugin
from zoo.testing.table import CHECKS, LEVELS, Check, list_checks

__all__ = ["BAD", "CHECKS", "LEVELS", "Check", "Result", "check_backbone", "check_plugin", "conformance", "list_checks"]
