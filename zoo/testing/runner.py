"""Run the checks of one plugin or one backbone: each check once, after the checks that it depends on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.registry.upstream_version import describe_installed
from zoo.testing.failure_place import find_place_of
from zoo.testing.plugin_under_test import PluginUnderTest
from zoo.testing.promises import BY_NAME, CHECKS, OLD_NAMES, Check, Level, list_checks
from zoo.testing.results.place import PLACE
from zoo.testing.results.result import BAD, CannotCheck, CheckFailed, NotApplicable, Result, Status, describe_with_place

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import BackboneUnderTest

#: Statuses of a check that prevent its dependent checks from running.
_BLOCKING: frozenset[Status] = frozenset(("fail", "error", "xfail", "not-run"))


@dataclass(frozen=True)
class Scope:
    """The checks that run."""

    level: Level = "cpu"
    #: Prefix of the names of the checks that run; the checks that they depend on run as well.
    only: str = ""

    def find_exclusion(self, check: Check) -> str | None:
        """Return why a check does not run, or None if it does."""
        if not check.is_within(self.level):
            return f"it is above level {self.level}"
        if check.name.startswith(self.only) or check.name in self._needed:
            return None
        return f"only {self.only} was requested"

    @cached_property
    def _needed(self) -> frozenset[str]:
        needed: set[str] = set()
        for check in reversed(CHECKS):  # The checks that a check depends on precede it.
            if check.name.startswith(self.only) or check.name in needed:
                needed.update(check.needs)
        return frozenset(needed)


class Declaration(NamedTuple):
    """A plugin's declaration of a backbone, which may be invalid. Static checks take it as their argument."""

    namespace: str
    spec: BackboneSpec


class Runner:
    """Runs the checks of one plugin, or of one of its backbones, and remembers their results."""

    def __init__(self, plugin: PluginUnderTest, spec: BackboneSpec | None, scope: Scope) -> None:
        self._plugin = plugin
        self._spec = spec
        self._scope = scope
        self._results: dict[str, Result] = {}
        #: Unexpected errors that checks raised, keyed by the check's name.
        self.errors: dict[str, BaseException] = {}

    def get_result(self, check: Check) -> Result:
        """Run a check, or return its result if it has run."""
        if check.name not in self._results:
            name = self._plugin.namespace if self._spec is None else self._spec.name
            self._results[check.name] = Result(name, check.name, *self._judge(check), self._upstream)
        return self._results[check.name]

    def _judge(self, check: Check) -> tuple[Status, str]:
        if excluded := self._scope.find_exclusion(check):
            return "not-run", excluded
        for need in check.needs:
            if self.get_result(BY_NAME[need]).status in _BLOCKING:
                return "not-run", f"it needs {need}"
        if self._spec is None:
            return self._run(check, self._plugin)
        if disclaimer := _find_disclaimer(check, self._spec):
            return "n/a", disclaimer
        declared = Declaration(self._plugin.namespace, self._spec)
        found = self._run(check, declared if check.level == "static" else self._backbone)
        status, reason = _compare(check, self._spec, *found)
        return status, _name_place(reason, self._plugin.made.find_place(self._spec)) if status in BAD else reason

    def _run(self, check: Check, under_test: object) -> tuple[Status, str]:
        try:
            with warnings.catch_warnings(), _restoring_settings(check):
                warnings.simplefilter("ignore")  # Upstream's warnings are for the users of its models.
                check.load()(under_test)
        except NotApplicable as excuse:
            return "n/a", str(excuse)
        except CannotCheck as lack:
            return "not-run", str(lack)
        except (CheckFailed, PluginError) as failure:
            return "fail", self._add_place(describe_in_one_line(failure), failure, check, under_test)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
            self.errors[check.name] = error
            return "error", self._add_place(describe_with_place(error), error, check, under_test)
        return "pass", ""

    def _add_place(self, message: str, failure: BaseException, check: Check, under_test: object) -> str:
        """Add the file and line of the plugin's or upstream's code that a failed check is about."""
        return _name_place(message, find_place_of(failure, check, self._plugin, under_test))

    @cached_property
    def _upstream(self) -> str:
        return "" if self._spec is None else describe_installed(self._spec)

    @cached_property
    def _backbone(self) -> BackboneUnderTest:
        from zoo.testing.backbone_under_test import BackboneUnderTest

        assert self._spec is not None
        return BackboneUnderTest(self._plugin.namespace, self._spec)


def _name_place(message: str, place: str) -> str:
    """Add a file and a line to a message that names none."""
    return f"{message.rstrip('.')} ({place})." if place and not PLACE.search(message) else message


def _restoring_settings(check: Check) -> AbstractContextManager[None]:
    """Undo a builder's changes to the process; a static check builds nothing, and does not import torch."""
    if check.level == "static":
        return nullcontext()
    from zoo.testing.isolation.side_effects import restored_settings

    return restored_settings()


def _find_disclaimer(check: Check, spec: BackboneSpec) -> str | None:
    """Return why a backbone does not make a promise, or None if it does."""
    if check.capability is None or check.capability in spec.supports:
        return None
    return spec.unsupported.get(check.capability, f"it does not claim {check.capability}")


def _compare(check: Check, spec: BackboneSpec, status: Status, reason: str) -> tuple[Status, str]:
    """Compare a result with the failures that the backbone declares; an unnecessary declaration is a failure itself."""
    if status not in {*BAD, "pass"}:
        return status, reason
    is_kept = status == "pass"
    if why := _get_reasons(spec.unsupported).get(check.excuse or ""):
        advice = f"it declares {check.excuse} unsupported ({why}), but supports it; remove the entry."
        return ("fail", advice) if is_kept else ("n/a", why)
    expected = _get_reasons(spec.expected_failures).items()
    if why := {OLD_NAMES.get(name, name): why for name, why in expected}.get(check.name):
        advice = f"it is declared to fail ({why}) but passes; remove the entry"
        return ("xpass", advice) if is_kept else ("xfail", f"{why} ({reason})")
    return status, reason


def _get_reasons(declared: object) -> Mapping[str, str]:
    """Return a mapping of reasons; nothing for a value of another type, which ``spec.capabilities`` reports."""
    return declared if isinstance(declared, Mapping) else {}


def check_plugin(plugin: PluginUnderTest, scope: Scope = Scope()) -> list[Result]:  # it is frozen
    """Run all checks of a plugin as a whole."""
    runner = Runner(plugin, None, scope)
    return [runner.get_result(check) for check in list_checks(of_plugin=True)]


def check_backbone(plugin: PluginUnderTest, backbone: BackboneSpec, scope: Scope = Scope()) -> list[Result]:
    """Run the checks of a backbone; every check has one result, whether it ran or not."""
    runner = Runner(plugin, backbone, scope)
    return [runner.get_result(check) for check in list_checks(of_plugin=False)]
