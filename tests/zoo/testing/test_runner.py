from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec
from zoo.plugin.backbone_spec import CAPABILITIES, EXPECTED
from zoo.plugin.fields import checks_deferred
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import BY_NAME, CHECKS, LEVELS, Check, list_checks
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable
from zoo.testing.runner import Declaration, Runner, Scope, check_backbone, check_plugin

PLUGIN = PluginUnderTest("acme", "zoo-acme", "1.5")

Look = Callable[..., tuple[str, str]]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A room of checks that is empty: ``sample``."""
    module = ModuleType("zoo.testing.checks.sample")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def look(room: ModuleType, acme: BackboneSpec) -> Look:
    """Look at a check whose body raises that, or nothing; returns its status and the reason."""

    def look(
        raised: BaseException | None = None,
        *,
        capability: str | None = None,
        excuse: str | None = None,
        **changes: Any,
    ) -> tuple[str, str]:
        room.one = lambda _backbone: _raise(raised)  # type: ignore[attr-defined]
        runner = Runner(PLUGIN, dataclasses.replace(acme, **changes), Scope("static"))
        check = Check("sample.one", "static", "it holds", capability=capability, excuse=excuse)
        result = runner.get_result(check)
        assert (result.backbone, result.check) == ("acme/net", "sample.one")
        return result.status, result.reason

    return look


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


#: Where that is, as results tell it.
PLACE = f"test_runner.py:{_raise.__code__.co_firstlineno + 2}"


# Statuses.


def test_a_promise_that_is_kept_passes_without_a_reason(look: Look) -> None:
    assert look() == ("pass", "")


@pytest.mark.parametrize("kind", [CheckFailed, PluginError])
def test_a_promise_that_is_not_kept_fails_and_says_why_in_one_line(look: Look, kind: type[Exception]) -> None:
    assert look(kind("it has\n 3 heads")) == ("fail", "it has 3 heads")


def test_what_nobody_expects_is_an_error_with_its_kind_and_is_kept_for_the_traceback(
    room: ModuleType, acme: BackboneSpec
) -> None:
    raised = OSError("no\nfile")
    room.one = lambda _backbone: _raise(raised)  # type: ignore[attr-defined]
    runner = Runner(PLUGIN, acme, Scope("static"))
    result = runner.get_result(Check("sample.one", "static", "it holds"))
    assert (result.status, result.reason) == ("error", f"OSError: no file ({PLACE})")
    assert runner.errors == {"sample.one": raised}


def test_a_plugin_that_exits_is_an_error_and_ends_nothing(look: Look) -> None:
    assert look(SystemExit(3)) == ("error", f"SystemExit: 3 ({PLACE})")


def test_ctrl_c_ends_the_look(look: Look) -> None:
    with pytest.raises(KeyboardInterrupt):
        look(KeyboardInterrupt())


def test_a_promise_that_is_not_made_is_not_applicable_and_says_why(look: Look) -> None:
    assert look(NotApplicable("it brings no data sets")) == ("n/a", "it brings no data sets")


def test_a_promise_that_cannot_be_looked_at_here_is_not_run_and_says_why(look: Look) -> None:
    assert look(CannotCheck("packaging is not installed")) == ("not-run", "packaging is not installed")


@pytest.mark.parametrize("raised", [CheckFailed("3 heads"), PluginError("3 heads")])
def test_a_failure_that_is_declared_is_an_xfail_with_both_reasons(look: Look, raised: Exception) -> None:
    assert look(raised, expected_failures={"sample.one": "known upstream"}) == ("xfail", "known upstream (3 heads)")


def test_an_error_that_is_declared_is_an_xfail_too(look: Look) -> None:
    assert look(OSError("why"), expected_failures={"sample.one": "known"}) == (
        "xfail",
        f"known (OSError: why ({PLACE}))",
    )


def test_a_declared_failure_that_is_none_is_an_xpass_that_says_so(look: Look) -> None:
    status, reason = look(expected_failures={"sample.one": "known upstream"})
    assert status == "xpass"
    assert reason == "it is declared to fail (known upstream) and does not; take it out"


def test_the_declared_failure_of_another_check_changes_nothing(look: Look) -> None:
    assert look(CheckFailed("why"), expected_failures={"sample.two": "known"}) == ("fail", "why")


@pytest.mark.parametrize(("kind", "status"), [(NotApplicable, "n/a"), (CannotCheck, "not-run")])
def test_what_was_not_looked_at_is_no_xpass_though_it_is_declared_to_fail(
    look: Look, kind: type[Exception], status: str
) -> None:
    assert look(kind("none"), expected_failures={"sample.one": "known"}) == (status, "none")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_capability_that_is_not_claimed_is_not_looked_at(look: Look, capability: str) -> None:
    assert look(CheckFailed("looked"), capability=capability) == ("n/a", f"it does not claim {capability}")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_capability_that_is_claimed_is_looked_at(look: Look, capability: str) -> None:
    assert look(CheckFailed("looked"), capability=capability, supports=(capability,)) == ("fail", "looked")


@pytest.mark.parametrize("capability", EXPECTED)
def test_what_every_backbone_can_do_is_looked_at_without_a_claim(look: Look, capability: str) -> None:
    assert look(CheckFailed("looked"), excuse=capability) == ("fail", "looked")


@pytest.mark.parametrize("raised", [CheckFailed("why"), OSError("why")])
@pytest.mark.parametrize("capability", EXPECTED)
def test_what_a_backbone_says_that_it_cannot_do_is_tried_and_excused_if_it_fails(
    look: Look, capability: str, raised: Exception
) -> None:
    found = look(raised, excuse=capability, unsupported={capability: "its head is used twice"})
    assert found == ("n/a", "its head is used twice")


@pytest.mark.parametrize("capability", EXPECTED)
def test_an_excuse_that_is_not_needed_is_a_failure(look: Look, capability: str) -> None:
    status, reason = look(excuse=capability, unsupported={capability: "its head is used twice"})
    assert status == "fail"
    assert reason.startswith(f"it says that it has no {capability} (its head is used twice), and it has")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_what_is_declared_unsupported_is_not_looked_at_and_says_the_declared_reason(
    look: Look, capability: str
) -> None:
    found = look(CheckFailed("looked"), capability=capability, unsupported={capability: "its head is used twice"})
    assert found == ("n/a", "its head is used twice")


def test_a_check_above_the_level_is_not_run(room: ModuleType, acme: BackboneSpec) -> None:
    room.one = lambda _backbone: _raise(CheckFailed("looked"))  # type: ignore[attr-defined]
    check = Check("sample.one", "cpu", "it holds")
    results = [Runner(PLUGIN, acme, Scope(level)).get_result(check) for level in LEVELS]
    assert [result.status for result in results] == ["not-run", "not-run", "fail", "fail"]
    assert results[1].reason == "it is above level meta"


def test_expected_failures_that_are_no_mapping_are_another_check_s_business(look: Look) -> None:
    with checks_deferred():
        assert look(CheckFailed("why"), expected_failures=("sample.one",)) == ("fail", "why")


# What needs what.


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
def test_a_check_is_looked_at_only_where_what_it_needs_did_not_fail(
    room: ModuleType, acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch, *, raised: Any, changes: Any, is_open: bool
) -> None:
    room.first = lambda _backbone: _raise(raised)  # type: ignore[attr-defined]
    room.second = room.third = lambda _backbone: None  # type: ignore[attr-defined]
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


def test_each_promise_is_looked_at_once(room: ModuleType, acme: BackboneSpec) -> None:
    seen: list[Any] = []
    room.one = seen.append  # type: ignore[attr-defined]
    runner = Runner(PLUGIN, acme, Scope("static"))
    check = Check("sample.one", "static", "it holds")
    assert runner.get_result(check) is runner.get_result(check)
    assert len(seen) == 1


def test_checks_look_at_a_plugin_or_a_declaration_or_models_that_they_share(
    room: ModuleType, acme: BackboneSpec
) -> None:
    seen: list[Any] = []
    room.one = room.two = room.three = seen.append  # type: ignore[attr-defined]
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


# Which checks.


@pytest.mark.parametrize("only", ["head.mlp", "head.", "weights.golden", "can", "plugin.names", ""])
def test_only_some_checks_are_those_so_named_and_all_that_they_need(only: str) -> None:
    scope = Scope("network", only)
    included = {check.name for check in CHECKS if scope.find_exclusion(check) is None}
    wanted = {check.name for check in CHECKS if check.name.startswith(only)}
    assert wanted <= included
    for name in included:
        assert set(BY_NAME[name].needs) <= included
    for name in included - wanted:
        assert any(name in BY_NAME[other].needs for other in included)


def test_a_check_that_was_not_asked_for_says_what_was() -> None:
    assert Scope("meta", "head.mlp").find_exclusion(BY_NAME["blocks.order"]) == "only head.mlp was asked for"
    assert Scope("meta", "head.mlp").find_exclusion(BY_NAME["head.complete"]) is None
    assert Scope("static", "head.mlp").find_exclusion(BY_NAME["head.mlp"]) == "it is above level static"


@pytest.mark.parametrize("only", ["", "spec.license", "weights."])
def test_every_check_of_a_backbone_is_in_the_answer_once_whether_it_was_looked_at_or_not(
    acme: BackboneSpec, only: str
) -> None:
    results = check_backbone(PLUGIN, acme, Scope("static", only))
    assert [result.check for result in results] == [check.name for check in list_checks(of_plugin=False)]
    assert {result.backbone for result in results} == {"acme/net"}
    assert {result.status for result in results} == {"pass", "not-run"}


def test_every_check_of_a_plugin_is_in_the_answer_once(shelf: Any) -> None:
    shelf.add("acme")
    results = check_plugin(examine("acme"), Scope("static"))
    assert [result.check for result in results] == [check.name for check in list_checks(of_plugin=True)]
    assert {result.backbone for result in results} == {"acme"}
    assert {result.check: result.reason for result in results if result.status != "pass"} == {
        "plugin.datasets": "it brings no data sets",
        "plugin.drawn": "it is above level static",
    }
