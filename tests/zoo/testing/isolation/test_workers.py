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

#: Level meta, but only what building needs.
SCOPE = Scope("meta", "build.params")
CHECKS = [check.name for check in list_checks(of_plugin=False)]

#: Ends the process that builds the network, if it is one of the kit's.
DIES = """
def die(tag=None):
    import os

    os._exit(7)
"""


def look(shelf: Any, *specs: str, processes: int = 2, **lines: str) -> list[list[Result]]:
    """Look at all backbones of a plugin that lists these specs."""
    shelf.add("acme", *specs, **lines)
    plugin = examine("acme")
    jobs = [(backbone.name, SCOPE) for backbone in plugin.backbones]
    return list(check_many(plugin, jobs, processes))


def show(results: list[Result]) -> dict[str, tuple[str, str]]:
    """Map each check to what came of it; there must be one result of each, in their order, of one backbone."""
    assert [result.check for result in results] == CHECKS
    assert len({result.backbone for result in results}) == 1
    return {result.check: (result.status, result.reason) for result in results}


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_backbone_is_looked_at_once_however_many_processes_there_are(shelf: Any, processes: int) -> None:
    answers = look(shelf, *(f"spec('acme/{name}')" for name in "abc"), processes=processes)
    assert sorted(results[0].backbone for results in answers) == ["acme/a", "acme/b", "acme/c"]
    for results in answers:
        assert show(results)["build.params"] == ("pass", "")
        assert show(results)["forward.logits"] == ("not-run", "only build.params was asked for")


def test_results_come_from_processes_of_their_own(shelf: Any) -> None:
    end = f"import os\n\n\ndef fail(tag=None):\n    raise OSError(f'built here: {{os.getpid() == {os.getpid()}}}')"
    (results,) = look(shelf, "spec(build=fail)", end=end)
    assert "built here: False" in show(results)["build.meta"][1]


def test_a_process_that_dies_loses_the_rest_of_one_backbone_and_the_others_go_on(shelf: Any) -> None:
    specs = ["spec('acme/a')", "spec('acme/b', build=die)", "spec('acme/c')", "spec('acme/d')"]
    answers = {results[0].backbone: show(results) for results in look(shelf, *specs, processes=1, end=DIES)}
    assert sorted(answers) == ["acme/a", "acme/b", "acme/c", "acme/d"]
    dead = answers.pop("acme/b")
    assert all(found["build.params"] == ("pass", "") for found in answers.values())
    place = CHECKS.index("build.offline")
    assert [dead[check] for check in CHECKS[:place]] == [answers["acme/a"][check] for check in CHECKS[:place]]
    assert dead["build.offline"] == ("error", "the process died with exit code 7")
    assert {dead[check] for check in CHECKS[place + 1 :]} == {("not-run", "the process died in build.offline")}


def test_processes_that_die_before_they_look_at_anything_lose_their_backbones_only(shelf: Any) -> None:
    top = "import multiprocessing, os\nif multiprocessing.parent_process():\n    os._exit(7)"
    answers = look(shelf, *(f"spec('acme/{name}')" for name in "abc"), top=top)
    assert sorted(results[0].backbone for results in answers) == ["acme/a", "acme/b", "acme/c"]
    for results in answers:
        assert show(results)["spec.name"] == ("error", "the process died with exit code 7")


def test_a_process_is_replaced_after_it_has_served(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "JOBS_PER_PROCESS", 2)
    end = "def fail(tag=None):\n    import os\n\n    raise OSError(f'built in {os.getpid()}')"
    answers = look(shelf, *(f"spec('acme/{name}', build=fail)" for name in "abcde"), processes=1, end=end)
    places = [show(results)["build.meta"][1] for results in answers]
    places = [place.partition("built in ")[2].partition(";")[0] for place in places]
    assert places[0] == places[1] != places[2] == places[3] != places[4]


def test_nothing_is_started_for_nothing(shelf: Any) -> None:
    shelf.add("acme")
    assert list(check_many(examine("acme"), [], 2)) == []


def test_processes_end_with_whoever_stops_listening(shelf: Any) -> None:
    import multiprocessing

    shelf.add("acme", *(f"spec('acme/{name}')" for name in "abc"))
    plugin = examine("acme")
    before = {*multiprocessing.active_children()}
    answers = check_many(plugin, [(backbone.name, SCOPE) for backbone in plugin.backbones], 2)
    next(answers)
    assert len({*multiprocessing.active_children()} - before) == 2
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    assert {*multiprocessing.active_children()} == before
