"""The checks of a plugin as pytest cases."""

from __future__ import annotations

import functools
from collections.abc import Callable

from zoo.errors import NameNotFound, OptionError
from zoo.testing.plugin_under_test import examine
from zoo.testing.promises import LEVELS, Check, Level, list_checks
from zoo.testing.runner import Runner, Scope
from zoo.testing.select import choose_backbones


def conformance(
    namespace: str, *, level: Level = "cpu", pattern: str = "*", each_family: bool = False
) -> Callable[..., None]:
    """Return a test with one case for each check of an installed plugin and its backbones.

    Collecting the cases does not import torch. A plugin that cannot be loaded is reported as a failing test.

    Args:
        namespace: The plugin's namespace.
        level: Highest level to check: ``static``, ``meta``, ``cpu`` or ``network``; each includes the ones before it.
        pattern: Shell pattern that the names of the backbones, without the namespace, must match.
        each_family: Whether to check only the smallest backbone of each family.

    Raises:
        NameNotFound: If no such plugin is installed, or no backbone matches.
        OptionError: If the level does not exist.
    """
    import pytest

    if level not in LEVELS:
        raise OptionError(f"no level {level!r}; the levels are {', '.join(LEVELS)}.")
    plugin = examine(namespace)
    chosen = choose_backbones(plugin.backbones, pattern, each_family=each_family)
    if plugin.backbones and not chosen:
        raise NameNotFound(f"no backbone of {namespace} matches {pattern!r}; `zoo list {namespace}/*` shows all.")
    checks = [check for check in list_checks(of_plugin=False) if check.is_within(level)]
    cases = [(namespace, check) for check in list_checks(of_plugin=True)]
    cases += [(backbone.name, check) for backbone in chosen for check in checks]
    params = [pytest.param(name, check, id=f"{name}::{check.name}") for name, check in cases]

    @functools.lru_cache(maxsize=1)  # keeps the models of only one backbone in memory
    def get_runner(name: str | None) -> Runner:
        return Runner(plugin, None if name is None else plugin.get_backbone(name), Scope(level))

    @pytest.mark.parametrize(("backbone", "check"), params)
    def test_conformance(backbone: str, check: Check) -> None:
        __tracebackhide__ = True
        _expect_pass(get_runner(None if check.is_of_plugin else backbone), check)

    return test_conformance


class ConformanceError(AssertionError):
    """A promise that is not kept."""


def _expect_pass(runner: Runner, check: Check) -> None:
    """Run a check, and end the test case according to its result."""
    import pytest

    __tracebackhide__ = True
    result = runner.get_result(check)
    if result.status == "xfail":
        pytest.xfail(result.reason)
    if result.status in ("n/a", "not-run"):
        pytest.skip(f"{result.status}: {result.reason}")
    if result.status != "pass":
        raise ConformanceError(f"{check.promise}. {result.reason}") from runner.errors.get(check.name)
