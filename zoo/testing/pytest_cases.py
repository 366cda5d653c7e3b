"""The promises of a plugin as pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from zoo.errors import NameNotFound, OptionError
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import LEVELS, Check, Level, list_checks
from zoo.testing.runner import Runner, Scope
from zoo.testing.select import choose_backbones

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec


def conformance(
    namespace: str, *, level: Level = "cpu", pattern: str = "*", each_family: bool = False
) -> Callable[..., None]:
    """Make a test with one case for each promise of an installed plugin and its backbones.

    Collecting the cases imports no torch, and a plugin that cannot be loaded fails as a test.

    Args:
        namespace: the plugin's.
        level: how far to go: ``static``, ``meta``, ``cpu`` or ``network``; each includes the ones before it.
        pattern: a shell pattern that the names of the backbones match, without the namespace.
        each_family: only the smallest backbone of each family.

    Raises:
        NameNotFound: no such plugin is installed, or no backbone matches.
        OptionError: there is no such level.
    """
    import pytest

    if level not in LEVELS:
        raise OptionError(f"no level {level!r}; the levels are {', '.join(LEVELS)}.")
    plugin = examine(namespace)
    chosen = choose_backbones(plugin.backbones, pattern, each_family=each_family)
    if plugin.backbones and not chosen:
        raise NameNotFound(f"no backbone of {namespace} matches {pattern!r}; `zoo list {namespace}/*` shows all.")
    runners = _Runners(plugin, Scope(level))
    cases = [
        pytest.param(name, check, id=f"{name}::{check.name}") for name, check in _list_cases(plugin, chosen, level)
    ]

    @pytest.mark.parametrize(("backbone", "check"), cases)
    def test_conformance(backbone: str, check: Check) -> None:
        __tracebackhide__ = True  # what failed is not in here
        runner = runners.get(None if check.is_of_plugin else backbone)
        result = runner.get_result(check)
        if result.status == "xfail":
            pytest.xfail(result.reason)
        if result.status in ("n/a", "not-run"):
            pytest.skip(f"{result.status}: {result.reason}")
        if result.status != "pass":
            cause = runner.errors.get(check.name)
            raise ConformanceError(f"{check.promise}. {result.reason}") from cause

    return test_conformance


class ConformanceError(AssertionError):
    """A promise is not kept."""


class _Runners:
    """The runner of the plugin or backbone whose cases run now; another one's models are forgotten."""

    def __init__(self, plugin: PluginUnderTest, scope: Scope) -> None:
        self._examined = plugin
        self._scope = scope
        self._current: tuple[str | None, Runner] | None = None

    def get(self, name: str | None) -> Runner:
        """Return that of a backbone, or, without a name, that of the plugin."""
        if self._current is None or self._current[0] != name:
            backbone = None if name is None else self._examined.get_backbone(name)
            self._current = name, Runner(self._examined, backbone, self._scope)
        return self._current[1]


def _list_cases(plugin: PluginUnderTest, chosen: Iterable[BackboneSpec], level: Level) -> Iterator[tuple[str, Check]]:
    for check in list_checks(of_plugin=True):
        yield plugin.namespace, check
    for backbone in chosen:
        for check in list_checks(of_plugin=False):
            if check.is_within(level):
                yield backbone.name, check
