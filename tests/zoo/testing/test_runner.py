from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec
from zoo.plugin.capabilities import CAPABILITIES, EXPECTED
from zoo.plugin.fields import checks_deferred
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import BY_NAME, CHECKS, LEVELS, Check, list_checks
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable
from zoo.testing.runner import Declaration, Runner, Scope, check_backbone, check_plugin

PLUGIN = PluginUnderTest("acme", "zoo-acme", "1.5")

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An empty module of checks: ``sample``."""
    module = ModuleType("zoo.testing.checks.sample")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def run(module: ModuleType, acme: BackboneSpec) -> Run:
    """Run a check that raises an error, or nothing; return its status and reason."""

    def run(
        raised: BaseException | None = None,
        *,
        capability: str | None = None,
        excuse: str | None = None,
        **changes: Any,
    ) -> tuple[str, str]:
        module.one = lambda _backbone: _raise(raised)  # type: ignore[attr-defined]
        runner = Runner(PLUGIN, dataclasses.replace(acme, **changes), Scope("static"))
        check = Check("sample.one", "static", "it holds", capability=capability, excuse=excuse)
        result = runner.get_result(check)
        assert (result.backbone, result.check) == ("acme/net", "sample.one")
        return result.status, result.reason

    return run


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


#: Location of that error, as results show it.
PLACE = f"{__file__}:{_raise.__code__.co_firstlineno + 2}"


# Statuses.


def test_a_kept_promise_passes_without_a_reason(run: Run) -> None:
    assert run() == ("pass", "")


@pytest.mark.parametrize("kind", [CheckFailed, PluginError])
def test_a_broken_promise_fails_with_a_one_line_reason(run: Run, kind: type[Exception]) -> None:
    assert run(kind("it has\n 3 heads")) == ("fail", "it has 3 heads")


def test_an_unexpected_error_has_its_type_in_the_reason_and_is_kept_for_the_traceback(
    module: ModuleType, acme: BackboneSpec
) -> None:
    raised = OSError("no\nfile")
    module.one = lambda _backbone: _raise(raised)  # type: ignore[attr-defined]
    runner = Runner(PLUGIN, acme, Scope("static"))
    result = runner.get_result(Check("sample.one", "static", "it holds"))
    assert (result.status, result.reason) == ("error", f"OSError: no file ({PLACE})")
    assert runner.errors == {"sample.one": raised}


def test_a_plugin_that_exits_is_an_error_and_does_not_end_the_run(run: Run) -> None:
    assert run(SystemExit(3)) == ("error", f"SystemExit: 3 ({PLACE})")


def test_ctrl_c_ends_the_run(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(KeyboardInterrupt())


def test_a_promise_that_is_not_made_is_not_applicable_with_a_reason(run: Run) -> None:
    assert run(NotApplicable("it provides no data sets")) == ("n/a", "it provides no data sets")


def test_a_check_that_cannot_run_has_the_status_not_run_and_a_reason(run: Run) -> None:
    assert run(CannotCheck("packaging is not installed")) == ("not-run", "packaging is not installed")


@pytest.mark.parametrize("raised", [CheckFailed("3 heads"), PluginError("3 heads")])
def test_a_declared_failure_is_an_xfail_with_both_reasons(run: Run, raised: Exception) -> None:
    assert run(raised, expected_failures={"sample.one": "known upstream"}) == ("xfail", "known upstream (3 heads)")


def test_a_declared_error_is_an_xfail_too(run: Run) -> None:
    assert run(OSError("why"), expected_failures={"sample.one": "known"}) == (
        "xfail",
        f"known (OSError: why ({PLACE}))",
    )


def test_a_declared_failure_that_passes_is_an_xpass(run: Run) -> None:
    status, reason = run(expected_failures={"sample.one": "known upstream"})
    assert status == "xpass"
    assert reason == "it is declared to fail (known upstream) but passes; remove the entry"


def test_a_declared_failure_under_the_old_name_of_a_check_counts(acme: BackboneSpec) -> None:
    spec = dataclasses.replace(acme, license="unknown", expected_failures={"spec.licence": "asked upstream"})
    results = {result.check: result.status for result in check_backbone(PLUGIN, spec, Scope("static"))}
    assert (results["spec.license"], results["spec.capabilities"]) == ("xfail", "pass")


def test_a_declared_failure_of_another_check_changes_nothing(run: Run) -> None:
    assert run(CheckFailed("why"), expected_failures={"sample.two": "known"}) == ("fail", "why")


@pytest.mark.parametrize(("kind", "status"), [(NotApplicable, "n/a"), (CannotCheck, "not-run")])
def test_a_declared_failure_that_did_not_run_is_not_an_xpass(run: Run, kind: type[Exception], status: str) -> None:
    assert run(kind("none"), expected_failures={"sample.one": "known"}) == (status, "none")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_capability_that_is_not_claimed_is_not_checked(run: Run, capability: str) -> None:
    assert run(CheckFailed("checked"), capability=capability) == ("n/a", f"it does not claim {capability}")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_claimed_capability_is_checked(run: Run, capability: str) -> None:
    fields = {"first_conv": "stem"} if capability == "channels" else {}
    assert run(CheckFailed("checked"), capability=capability, supports=(capability,), **fields) == ("fail", "checked")


@pytest.mark.parametrize("capability", EXPECTED)
def test_a_capability_that_every_backbone_should_have_is_checked_without_a_claim(run: Run, capability: str) -> None:
    assert run(CheckFailed("checked"), excuse=capability) == ("fail", "checked")


@pytest.mark.parametrize("raised", [CheckFailed("why"), OSError("why")])
@pytest.mark.parametrize("capability", EXPECTED)
def test_a_failure_that_unsupported_declares_is_excused(run: Run, capability: str, raised: Exception) -> None:
    found = run(raised, excuse=capability, unsupported={capability: "its head is used twice"})
    assert found == ("n/a", "its head is used twice")


@pytest.mark.parametrize("capability", EXPECTED)
def test_an_unnecessary_excuse_is_a_failure(run: Run, capability: str) -> None:
    status, reason = run(excuse=capability, unsupported={capability: "its head is used twice"})
    assert status == "fail"
    assert reason.startswith(f"it declares {capability} unsupported (its head is used twice), but supports it")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_an_unsupported_capability_is_not_checked_and_has_the_declared_reason(run: Run, capability: str) -> None:
    found = run(CheckFailed("checked"), capability=capability, unsupported={capability: "its head is used twice"})
    assert found == ("n/a", "its head is used twice")


def test_a_check_above_the_level_is_not_run(module: ModuleType, acme: BackboneSpec) -> None:
    module.one = lambda _backbone: _raise(CheckFailed("checked"))  # type: ignore[attr-defined]
    check = Check("sample.one", "cpu", "it holds")
    results = [Runner(PLUGIN, acme, Scope(level)).get_result(check) for level in LEVELS]
    assert [result.status for result in results] == ["not-run", "not-run", "fail", "fail"]
    assert results[1].reason == "it is above level meta"


def test_expected_failures_of_the_wrong_type_are_ignored(run: Run) -> None:
    with checks_deferred():
        assert run(CheckFailed("why"), expected_failures=("sample.one",)) == ("fail", "why")


# Dependencies.


@pytest.mark.parametrize(
    ("raised", "changes", "is_open"),
    [
        (None, {}, True),
        (NotApplicable("none"), {}, True),
        (None, {"expected_failures": {"sample.first": "known"}}, True),
        (CheckFailed("why"), {}, False),
        (CannotCheck("why"), {}, False),
        (OSError("why"), {}, False),
        (CheckFailed("why"), {"expected_failures": {"sample.first": "known"}}, False),
    ],
    ids=["pass", "n-a", "xpass", "fail", "not-run", "error", "xfail"],
)
def test_a_check_runs_only_if_the_checks_that_it_needs_did_not_fail(
    module: ModuleType, acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch, *, raised: Any, changes: Any, is_open: bool
) -> None:
    module.first = lambda _backbone: _raise(raised)  # type: ignore[attr-defined]
    module.second = module.third = lambda _backbone: None  # type: ignore[attr-defined]
    for check in (
        Check("sample.first", "static", "one"),
        Check("sample.second", "static", "two", ("sample.first",)),
        Check("sample.third", "static", "three", ("sample.second",)),
    ):
        monkeypatch.setitem(BY_NAME, check.name, check)
    runner = Runner(PLUGIN, dataclasses.replace(acme, **changes), Scope("static"))
    second, third = (runner.get_result(BY_NAME[f"sample.{name}"]) for name in ("second", "third"))
    if is_open:
        assert (second.status, third.status) == ("pass", "pass")
    else:
        assert (second.status, second.reason) == ("not-run", "it needs sample.first")
        assert (third.status, third.reason) == ("not-run", "it needs sample.second")


def test_each_check_runs_once(module: ModuleType, acme: BackboneSpec) -> None:
    seen: list[Any] = []
    module.one = seen.append  # type: ignore[attr-defined]
    runner = Runner(PLUGIN, acme, Scope("static"))
    check = Check("sample.one", "static", "it holds")
    assert runner.get_result(check) is runner.get_result(check)
    assert len(seen) == 1


def test_a_check_takes_a_plugin_a_declaration_or_a_backbone_shared_by_all_checks(
    module: ModuleType, acme: BackboneSpec
) -> None:
    seen: list[Any] = []
    module.one = module.two = module.three = seen.append  # type: ignore[attr-defined]
    Runner(PLUGIN, None, Scope("static")).get_result(Check("sample.one", "static", "1"))
    runner = Runner(PLUGIN, acme, Scope("cpu"))
    for check in (
        Check("sample.one", "static", "1"),
        Check("sample.two", "meta", "2"),
        Check("sample.three", "cpu", "3"),
    ):
        runner.get_result(check)
    plugin, declared, backbone, again = seen
    assert plugin is PLUGIN
    assert declared == Declaration("acme", acme)
    assert isinstance(backbone, BackboneUnderTest)
    assert (backbone.namespace, backbone.spec) == ("acme", acme)
    assert again is backbone


# The scope.


@pytest.mark.parametrize("only", ["head.mlp", "head.", "weights.golden", "can", "plugin.names", ""])
def test_only_includes_the_checks_with_the_prefix_and_all_checks_that_they_need(only: str) -> None:
    scope = Scope("network", only)
    included = {check.name for check in CHECKS if scope.find_exclusion(check) is None}
    wanted = {check.name for check in CHECKS if check.name.startswith(only)}
    assert wanted <= included
    for name in included:
        assert set(BY_NAME[name].needs) <= included
    for name in included - wanted:
        assert any(name in BY_NAME[other].needs for other in included)


def test_the_reason_of_an_excluded_check_is_the_scope() -> None:
    assert Scope("meta", "head.mlp").find_exclusion(BY_NAME["blocks.order"]) == "only head.mlp was requested"
    assert Scope("meta", "head.mlp").find_exclusion(BY_NAME["head.complete"]) is None
    assert Scope("static", "head.mlp").find_exclusion(BY_NAME["head.mlp"]) == "it is above level static"


@pytest.mark.parametrize("only", ["", "spec.license", "weights."])
def test_every_check_of_a_backbone_has_one_result_whether_it_ran_or_not(acme: BackboneSpec, only: str) -> None:
    results = check_backbone(PLUGIN, acme, Scope("static", only))
    assert [result.check for result in results] == [check.name for check in list_checks(of_plugin=False)]
    assert {result.backbone for result in results} == {"acme/net"}
    assert {result.status for result in results} == {"pass", "not-run"}


def test_every_check_of_a_plugin_has_one_result(shelf: Any) -> None:
    shelf.add("acme")
    results = check_plugin(examine("acme"), Scope("static"))
    assert [result.check for result in results] == [check.name for check in list_checks(of_plugin=True)]
    assert {result.backbone for result in results} == {"acme"}
    assert {result.check: result.reason for result in results if result.status != "pass"} == {
        "plugin.datasets": "it provides no data sets",
        "plugin.sources": "it provides no data sources",
        "plugin.drawn": "it is above level static",
        "plugin.finds": "it is above level static",
        "plugin.tracked": "it is above level static",
    }
