"""The promises of a plugin as pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from zoo.testing.choice import choose_backbones
from zoo.testing.examined import Examined, examine
from zoo.testing.session import Scope, Session
from zoo.testing.table import Check, Level, list_checks

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
        NameNotFound: no such plugin is installed.
    """
    import pytest

    examined = examine(namespace)
    chosen = choose_backbones(examined.backbones, pattern, each_family=each_family)
    sessions = _Sessions(examined, Scope(level))
    cases = [
        pytest.param(name, check, id=f"{name}::{check.name}") for name, check in _list_cases(examined, chosen, level)
    ]

    @pytest.mark.parametrize(("backbone", "check"), cases)
    def test_conformance(backbone: str, check: Check) -> None:
        session = sessions.get(backbone)
        result = session.get_result(check)
        if result.status == "xfail":
            pytest.xfail(result.reason)
        if result.status in ("n/a", "not-run"):
            pytest.skip(f"{result.status}: {result.reason}")
        if result.status != "pass":
            cause = session.errors.get(check.name)
            raise ConformanceError(f"{check.promise}. {result.reason}") from cause

    return test_conformance


class ConformanceError(AssertionError):
    """A promise is not kept."""


class _Sessions:
    """The session of the backbone whose cases run now; another one's models are forgotten."""

    def __init__(self, examined: Examined, scope: Scope) -> None:
        self._examined = examined
        self._scope = scope
        self._current: Session | None = None

    def get(self, name: str) -> Session:
        if self._current is None or self._current.name != name:
            is_plugin = name == self._examined.namespace
            backbone = None if is_plugin else self._examined.get_backbone(name)
            self._current = Session(self._examined, backbone, self._scope)
        return self._current


def _list_cases(examined: Examined, chosen: Iterable[BackboneSpec], level: Level) -> Iterator[tuple[str, Check]]:
    for check in list_checks(of_plugin=True):
        yield examined.namespace, check
    for backbone in chosen:
        for check in list_checks(of_plugin=False):
            if check.is_within(level):
                yield backbone.name, check
