"""The kit rejects each mutant by the intended check, and by no other; it accepts good plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from specimens.good import BLOCKS, LOGITS, declare_conv, declare_weights
from specimens.install import install_all
from specimens.judge import emptied, find_disagreement, get_fails, judge, list_mutants, settings_kept
from specimens.plugin import MUTANTS
from specimens.plugin_mutants import PLUGIN_MUTANTS

from zoo.plugin import InputSpec
from zoo.plugin.fields import checks_deferred
from zoo.testing.isolation.workers import check_many
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import CHECKS, Check, list_checks
from zoo.testing.results.result import BAD, Result
from zoo.testing.runner import Scope, check_backbone, check_plugin


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the path with all specimens installed."""
    folder = tmp_path_factory.mktemp("installed")
    install_all(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def mutants() -> PluginUnderTest:
    return examine("mutants")


@pytest.fixture(scope="module")
def good() -> dict[str, list[Result]]:
    """All results of the good plugin and of its backbones, keyed by their names."""
    plugin = examine("good")
    with settings_kept():
        of_backbones = {spec.name: check_backbone(plugin, spec, Scope("network")) for spec in plugin.backbones}
    return {"good": check_plugin(plugin), **of_backbones}


def list_bad(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if result.status in BAD]


#: The first mutant of each check. The others are slow tests.
FIRST = {list_mutants(check.name)[0] for check in CHECKS}


def list_cases(names: Iterable[str]) -> list[Any]:
    return [name if name in FIRST else pytest.param(name, marks=pytest.mark.breadth) for name in names]


@pytest.mark.parametrize("name", list_cases(PLUGIN_MUTANTS))
def test_a_mutant_plugin_fails_only_the_intended_checks(name: str) -> None:
    assert find_disagreement(judge(name), get_fails(name)) == ""


@pytest.mark.parametrize("name", list_cases(MUTANTS))
def test_a_mutant_backbone_fails_only_the_intended_checks(mutants: PluginUnderTest, name: str) -> None:
    assert find_disagreement(judge(name, mutants), get_fails(name)) == ""


def test_the_plugin_of_the_mutant_backbones_keeps_its_own_promises(mutants: PluginUnderTest) -> None:
    assert list_bad(check_plugin(mutants)) == []


@pytest.mark.breadth
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_has_a_mutant_that_is_accepted_without_it(mutants: PluginUnderTest, check: Check) -> None:
    name = list_mutants(check.name)[0]
    with emptied(check.name):
        results = judge(name, mutants, only=check.name)
    assert f"{check.name} does not fail" in find_disagreement(results, get_fails(name))


def test_the_intended_checks_exist_and_every_check_has_a_mutant() -> None:
    named = {check for name in (*PLUGIN_MUTANTS, *MUTANTS) for check in get_fails(name)}
    assert named == {check.name for check in CHECKS}


def test_a_good_plugin_is_accepted(good: dict[str, list[Result]]) -> None:
    assert [result for results in good.values() for result in list_bad(results)] == []


def test_every_check_has_one_result_in_the_order_of_the_checks(good: dict[str, list[Result]]) -> None:
    for name, results in good.items():
        wanted = [(name, check.name) for check in list_checks(of_plugin=name == "good")]
        assert [(result.backbone, result.check) for result in results] == wanted


def test_every_check_passes_for_some_good_backbone(good: dict[str, list[Result]]) -> None:
    passed = {result.check for results in good.values() for result in results if result.status == "pass"}
    assert passed == {check.name for check in CHECKS}
    not_run = [result for results in good.values() for result in results if result.status == "not-run"]
    assert [(result.backbone, result.check, result.reason) for result in not_run] == [
        (
            "good/sensitive",
            "can.bf16",
            "with random weights, it amplifies rounding errors, so comparing logits in bf16 would prove nothing",
        )
    ]


def test_a_declared_failure_is_excused_and_has_both_reasons(mutants: PluginUnderTest) -> None:
    results = check_backbone(mutants, mutants.get_backbone("mutants/excused"))
    assert list_bad(results) == []
    excused = {result.check: result.reason for result in results if result.status == "xfail"}
    assert excused.keys() == {"learn.all"}
    assert excused["learn.all"].startswith("upstream's loss needs labels (no gradient reaches aux.2.weight")


def test_independent_faults_are_reported_together(mutants: PluginUnderTest) -> None:
    with checks_deferred():
        spec = declare_conv(
            "others/net",
            input=InputSpec(size=(3, 16, 16), mean=(124.0, 116.0, 104.0)),
            params=1,
            blocks=BLOCKS[1:],
            supports=("flying",),
            weights=(declare_weights(url=None),),
        )
    bad = {result.check for result in list_bad(check_backbone(mutants, spec))}
    of_declaration = {"spec.name", "spec.input", "spec.weights", "spec.capabilities"}
    assert bad == {*of_declaration, "build.params", "blocks.partition"}


def test_a_wrong_input_does_not_hide_a_wrong_head(mutants: PluginUnderTest) -> None:
    spec = declare_conv("mutants/both", input=InputSpec(size=(1, 16, 16), mean=(0.5,), std=(0.5,)), head=("fc",))
    assert {result.check for result in list_bad(check_backbone(mutants, spec))} == {"forward.logits", "head.found"}


def test_weights_without_logits_are_reported_in_addition_to_weights_with_logits(mutants: PluginUnderTest) -> None:
    weights = declare_weights(), declare_weights(tag="V2", logits=LOGITS)
    spec = declare_conv("mutants/golden", weights=weights)
    (result,) = [
        result for result in check_backbone(mutants, spec, Scope("network")) if result.check == "weights.golden"
    ]
    assert (result.status, result.reason[:30]) == ("n/a", "it declares no logits for V1; ")
    assert f"the logits of V1 are ({LOGITS[0]}" in result.reason


def test_weights_are_not_checked_offline(
    mutants: PluginUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    spec = declare_conv("mutants/far", weights=(declare_weights(url="https://localhost/far.safetensors"),))
    found = {result.check: result for result in check_backbone(mutants, spec, Scope("network", "weights.fetched"))}
    assert found["weights.fetched"].status == "not-run"
    assert found["weights.fetched"].reason == "ZOO_OFFLINE is set, and weights V1 are not on this machine"


def test_a_builder_that_ends_its_process_is_an_error_only_for_its_own_backbone(mutants: PluginUnderTest) -> None:
    jobs = [(f"mutants/{name}", Scope("meta")) for name in ("exits", "good", "aborts", "raises")]
    found = {results[0].backbone.partition("/")[2]: list_bad(results) for results in check_many(mutants, jobs, 2)}
    assert found.keys() == {"exits", "good", "aborts", "raises"}
    assert found["good"] == []
    for name, code in (("exits", 3), ("aborts", -6)):
        (result,) = found[name]
        assert (result.check, result.status) == ("build.offline", "error")
        assert f"the process died with exit code {code}" in result.reason
    assert [result.check for result in found["raises"]] == ["build.meta"]
