from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zoo.plugin.capabilities import CAPABILITIES, EXPECTED
from zoo.testing import checks
from zoo.testing.promises import BY_NAME, CHECKS, LEVELS, Check, list_checks

#: Classes of the arguments of checks.
UNDER_TEST = {"PluginUnderTest", "Declaration", "BackboneUnderTest"}


def is_check(function: Callable[..., Any]) -> bool:
    """Return whether a function takes one plugin, declaration or backbone, as a check does."""
    parameters = list(inspect.signature(function).parameters.values())
    return len(parameters) == 1 and parameters[0].annotation in UNDER_TEST


def list_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """List the public functions that have the signature of a check, with the check's name."""
    for package in pkgutil.iter_modules(checks.__path__):
        module = importlib.import_module(f"{checks.__name__}.{package.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_") and is_check(function):
                yield f"{package.name}.{name}", function


def test_every_check_is_a_function_and_every_such_function_is_a_check() -> None:
    assert sorted(name for name, _ in list_functions()) == sorted(BY_NAME)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_loads_its_function_which_returns_nothing_and_has_a_docstring(check: Check) -> None:
    function = check.load()
    assert f"{function.__module__}.{function.__name__}" == f"zoo.testing.checks.{check.name}"
    assert inspect.signature(function).return_annotation == "None"
    assert function.__doc__


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_level_of_a_check_determines_its_argument(check: Check) -> None:
    (parameter,) = inspect.signature(check.load()).parameters.values()
    wanted = (
        "PluginUnderTest" if check.is_of_plugin else "Declaration" if check.level == "static" else "BackboneUnderTest"
    )
    assert parameter.annotation == wanted


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(CHECKS)


def test_promises_are_unique() -> None:
    assert len({check.promise for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_checks_that_a_check_needs_precede_it_and_run_at_its_level(check: Check) -> None:
    earlier = CHECKS[: CHECKS.index(check)]
    for need in check.needs:
        assert BY_NAME[need] in earlier
        assert BY_NAME[need].is_within(check.level)
        assert BY_NAME[need].is_of_plugin == check.is_of_plugin


def test_every_capability_has_a_check_and_every_check_a_known_capability() -> None:
    assert {check.capability for check in CHECKS if check.capability} == {*CAPABILITIES}
    assert sorted(check.excuse for check in CHECKS if check.excuse) == sorted(EXPECTED)


def test_every_check_is_for_plugins_or_for_backbones() -> None:
    of_plugin, of_backbone = list_checks(of_plugin=True), list_checks(of_plugin=False)
    assert sorted(check.name for check in (*of_plugin, *of_backbone)) == sorted(BY_NAME)
    assert {check.name.partition(".")[0] for check in of_plugin} == {"plugin"}


def test_each_level_includes_the_levels_before_it() -> None:
    assert LEVELS == ("static", "meta", "cpu", "network")
    for number, level in enumerate(LEVELS):
        check = Check("sample.one", level, "a promise")
        assert [check.is_within(other) for other in LEVELS] == [False] * number + [True] * (len(LEVELS) - number)
