"""Looks at the promises of one plugin or one backbone, each once, and each after those that it needs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError
from zoo.plugin.backbone_spec import EXPECTED
from zoo.registry.isolation import describe_in_one_line
from zoo.testing.plugin_under_test import Examined
from zoo.testing.promises import BY_NAME, CHECKS, Check, Level, list_checks
from zoo.testing.results.result import CannotLook, CheckFailed, NotApplicable, Result, Status, describe_with_place

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec
    from zoo.testing.backbone_under_test import Subject

#: Statuses of a check after which those that need it cannot be looked at.
_CLOSED: frozenset[Status] = frozenset(("fail", "error", "xfail", "not-run"))


@dataclass(frozen=True)
class Scope:
    """Which promises are looked at."""

    level: Level = "cpu"
    #: What their names begin with; what they need is looked at as well.
    only: str = ""

    def find_exclusion(self, check: Check) -> str | None:
        """Return why a check is left out, or None."""
        if not check.is_within(self.level):
            return f"it is above level {self.level}"
        if check.name.startswith(self.only) or check.name in self._needed:
            return None
        return f"only {self.only} was asked for"

    @cached_property
    def _needed(self) -> frozenset[str]:
        needed: set[str] = set()
        for check in reversed(CHECKS):  # a check stands after what it needs
            if check.name.startswith(self.only) or check.name in needed:
                needed.update(check.needs)
        return frozenset(needed)


@dataclass(frozen=True)
class Declaration:
    """What a plugin says of a backbone, as static checks see it: possibly with faults in it."""

    namespace: str
    backbone: BackboneSpec


class Session:
    """What is known so far of one plugin, or of one of its backbones."""

    def __init__(self, examined: Examined, backbone: BackboneSpec | None, scope: Scope) -> None:
        self._examined = examined
        self._backbone = backbone
        self._scope = scope
        self._results: dict[str, Result] = {}
        #: What was raised by checks that could not say more about it.
        self.errors: dict[str, BaseException] = {}

    @property
    def name(self) -> str:
        """``acme/net``, or ``acme`` for the plugin itself."""
        return self._examined.namespace if self._backbone is None else self._backbone.name

    def get_result(self, check: Check) -> Result:
        """Look at a promise, or return what was seen when it was looked at."""
        if check.name not in self._results:
            status, reason = self._judge(check)
            self._results[check.name] = Result(self.name, check.name, status, reason)
        return self._results[check.name]

    def _judge(self, check: Check) -> tuple[Status, str]:
        if excluded := self._scope.find_exclusion(check):
            return "not-run", excluded
        for need in check.needs:
            if self.get_result(BY_NAME[need]).status in _CLOSED:
                return "not-run", f"it needs {need}"
        if excuse := self._find_excuse(check):
            return "n/a", excuse
        status, reason = self._run(check)
        return self._expect(check, status, reason)

    def _find_excuse(self, check: Check) -> str | None:
        capability, backbone = check.capability, self._backbone
        if capability is None or backbone is None:
            return None
        if capability in backbone.unsupported:
            return backbone.unsupported[capability]
        is_claimed = capability in EXPECTED or capability in backbone.supports
        return None if is_claimed else f"it does not claim {capability}"

    def _run(self, check: Check) -> tuple[Status, str]:
        try:
            with warnings.catch_warnings(), self._room(check):
                warnings.simplefilter("ignore")  # upstream's own, which its users see elsewhere
                check.load()(self._get_subject(check))
        except NotApplicable as excuse:
            return "n/a", str(excuse)
        except CannotLook as lack:
            return "not-run", str(lack)
        except (CheckFailed, PluginError) as failure:
            return "fail", describe_in_one_line(failure)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a plugin raises where nobody expects it
            self.errors[check.name] = error
            return "error", describe_with_place(error)
        return "pass", ""

    @staticmethod
    @contextmanager
    def _room(check: Check) -> Iterator[None]:
        """Undo what a builder does to the process, for checks that build; passes on the meta device are spared much."""
        if check.level == "static":
            yield
            return
        from zoo.testing.fast_meta import ShapesAlone
        from zoo.testing.isolation.side_effects import settings_kept

        with settings_kept(), ShapesAlone() if check.level == "meta" else nullcontext():
            yield

    def _expect(self, check: Check, status: Status, reason: str) -> tuple[Status, str]:
        expected = None if self._backbone is None else self._backbone.expected_failures
        if not isinstance(expected, Mapping) or check.name not in expected:
            return status, reason
        if status in ("fail", "error"):
            return "xfail", f"{expected[check.name]} ({reason})"
        if status == "pass":
            return "xpass", f"it is declared to fail ({expected[check.name]}) and does not; take it out"
        return status, reason

    def _get_subject(self, check: Check) -> Any:
        """Return what a check looks at: the plugin, a backbone's declaration, or a backbone with its models."""
        if self._backbone is None:
            return self._examined
        return self._declaration if check.level == "static" else self._subject

    @cached_property
    def _declaration(self) -> Declaration:
        assert self._backbone is not None
        return Declaration(self._examined.namespace, self._backbone)

    @cached_property
    def _subject(self) -> Subject:
        from zoo.testing.backbone_under_test import Subject

        return Subject(self._declaration.namespace, self._declaration.backbone)


def check_plugin(examined: Examined, scope: Scope = Scope()) -> list[Result]:  # it is frozen
    """Look at all promises of a plugin as a whole."""
    session = Session(examined, None, scope)
    return [session.get_result(check) for check in list_checks(of_plugin=True)]


def check_backbone(examined: Examined, backbone: BackboneSpec, scope: Scope = Scope()) -> list[Result]:
    """Look at the promises of a backbone; each check is in the answer once, looked at or not."""
    session = Session(examined, backbone, scope)
    return [session.get_result(check) for check in list_checks(of_plugin=False)]
