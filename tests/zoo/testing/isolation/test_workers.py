from __future__ import annotations

import os
from typing import Any

import pytest

from zoo.testing.isolation import workers
from zoo.testing.isolation.workers import check_many
from zoo.testing.plugin_under_test import examine
from zoo.testing.promises import list_checks
from zoo.testing.results.result import Result
from zoo.testing.runner import Scope

#: Only `build.params` and the checks that it needs.
SCOPE = Scope("meta", "build.params")
CHECKS = [check.name for check in list_checks(of_plugin=False)]

#: A builder that ends its process.
DIES = """
def die(tag=None):
    import os

    os._exit(7)
"""


def check(shelf: Any, *specs: str, processes: int = 2, **lines: str) -> list[list[Result]]:
    """Check all backbones of a plugin that lists these specs."""
    shelf.add("acme", *specs, **lines)
    plugin = examine("acme")
    jobs = [(backbone.name, SCOPE) for backbone in plugin.backbones]
    return list(check_many(plugin, jobs, processes))


def map_results(results: list[Result]) -> dict[str, tuple[str, str]]:
    """Map each check to its result; there must be one result for each check of one backbone, in order."""
    assert [result.check for result in results] == CHECKS
    assert len({result.backbone for result in results}) == 1
    return {result.check: (result.status, result.reason) for result in results}


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_backbone_is_checked_once_with_any_number_of_processes(shelf: Any, processes: int) -> None:
    answers = check(shelf, *(f"spec('acme/{name}')" for name in "abc"), processes=processes)
    assert sorted(results[0].backbone for results in answers) == ["acme/a", "acme/b", "acme/c"]
    for results in answers:
        assert map_results(results)["build.params"] == ("pass", "")
        assert map_results(results)["forward.logits"] == ("not-run", "only build.params was requested")


def test_checks_run_in_a_separate_process(shelf: Any) -> None:
    end = f"import os\n\n\ndef fail(tag=None):\n    raise OSError(f'built here: {{os.getpid() == {os.getpid()}}}')"
    (results,) = check(shelf, "spec(build=fail)", end=end)
    assert "built here: False" in map_results(results)["build.meta"][1]


def test_a_process_that_dies_loses_the_remaining_results_of_one_backbone_only(shelf: Any) -> None:
    specs = ["spec('acme/a')", "spec('acme/b', build=die)", "spec('acme/c')", "spec('acme/d')"]
    answers = {results[0].backbone: map_results(results) for results in check(shelf, *specs, processes=1, end=DIES)}
    assert sorted(answers) == ["acme/a", "acme/b", "acme/c", "acme/d"]
    dead = answers.pop("acme/b")
    assert all(found["build.params"] == ("pass", "") for found in answers.values())
    place = CHECKS.index("build.offline")
    assert [dead[check] for check in CHECKS[:place]] == [answers["acme/a"][check] for check in CHECKS[:place]]
    assert dead["build.offline"] == ("error", "the process died with exit code 7")
    assert {dead[check] for check in CHECKS[place + 1 :]} == {("not-run", "the process died in build.offline")}


def test_processes_that_die_before_the_first_check_lose_their_backbones_only(shelf: Any) -> None:
    top = "import multiprocessing, os\nif multiprocessing.parent_process():\n    os._exit(7)"
    answers = check(shelf, *(f"spec('acme/{name}')" for name in "abc"), top=top)
    assert sorted(results[0].backbone for results in answers) == ["acme/a", "acme/b", "acme/c"]
    for results in answers:
        assert map_results(results)["spec.name"] == ("error", "the process died with exit code 7")


def test_a_process_is_replaced_after_some_backbones(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "JOBS_PER_PROCESS", 2)
    end = "def fail(tag=None):\n    import os\n\n    raise OSError(f'built in {os.getpid()}')"
    answers = check(shelf, *(f"spec('acme/{name}', build=fail)" for name in "abcde"), processes=1, end=end)
    pids = [map_results(results)["build.meta"][1] for results in answers]
    pids = [place.partition("built in ")[2].partition(";")[0] for place in pids]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_without_backbones_no_process_starts(shelf: Any) -> None:
    shelf.add("acme")
    assert list(check_many(examine("acme"), [], 2)) == []


def test_all_processes_end_when_the_caller_stops_iterating(shelf: Any) -> None:
    import multiprocessing

    shelf.add("acme", *(f"spec('acme/{name}')" for name in "abc"))
    plugin = examine("acme")
    before = {*multiprocessing.active_children()}
    answers = check_many(plugin, [(backbone.name, SCOPE) for backbone in plugin.backbones], 2)
    next(answers)
    assert len({*multiprocessing.active_children()} - before) == 2
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    assert {*multiprocessing.active_children()} == before
