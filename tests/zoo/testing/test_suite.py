from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import NameNotFound, OptionError, RunError
from zoo.plugin import BackboneSpec
from zoo.plugin.fields import checks_deferred
from zoo.progress import Advance
from zoo.testing.promises import CHECKS, LEVELS, Level, list_checks
from zoo.testing.results.result import Result
from zoo.testing.runner import Scope
from zoo.testing.suite import Suite, find_target, find_targets

#: A builder that writes the network's name and the process to a file.
NOTES = """
def noted(name):
    def build_noted(tag=None):
        import os

        with open(BUILT, "a") as file:
            print(name, os.getpid(), file=file)
        return build(tag)

    return build_noted
"""


class Recorder:
    """Records the reported progress."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        #: Title and total of each tracked task.
        self.tracked: list[tuple[str, int | None]] = []
        self.steps = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:
        self.tracked.append((title, total))
        yield self.advance

    def advance(self, steps: int) -> None:
        self.steps += steps


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


@pytest.fixture
def built(shelf: Any, tmp_path: Path) -> Path:
    """A file to which the builders of two installed networks, acme/a and acme/b, append a line."""
    path = tmp_path / "built"
    specs = [f"spec('acme/{name}', build=noted('{name}'))" for name in "ab"]
    shelf.add("acme", *specs, end=f"BUILT = {str(path)!r}\n{NOTES}")
    path.touch()
    return path


def list_names(results: list[Result]) -> list[str]:
    """List the names of the plugin and the backbones; each must have one result for each check."""
    names = list(dict.fromkeys(result.backbone for result in results))
    for name in names:
        wanted = [check.name for check in list_checks(of_plugin="/" not in name)]
        assert [result.check for result in results if result.backbone == name] == wanted
    return names


def count_checked(built: Path) -> int:
    """Count the networks that were checked. Each is checked in one process, which may build it several times."""
    return len({*built.read_text().splitlines()})


# Targets.


@pytest.mark.parametrize("level", ["static", "meta"])
def test_a_namespace_selects_the_plugin_and_all_its_backbones(shelf: Any, progress: Recorder, level: Level) -> None:
    shelf.add("acme", "spec()", "spec('acme/other')")
    results = list(Suite(level, "spec.").run(find_target("acme"), progress))
    first, *others = list_names(results)
    assert first == "acme"
    assert sorted(others) == ["acme/net", "acme/other"]
    assert {result.status for result in results if result.check.startswith("spec.")} == {"pass"}


def test_a_full_name_selects_the_backbone_and_its_plugin(shelf: Any, progress: Recorder) -> None:
    shelf.add("acme", "spec()", "spec('acme/other')")
    assert list_names(list(Suite("static").run(find_target("acme/other"), progress))) == ["acme", "acme/other"]


def test_the_backbones_of_a_plugin_are_one_target_and_each_is_checked_once(shelf: Any, progress: Recorder) -> None:
    shelf.add("acme", "spec()", "spec('acme/other')", "spec('acme/third')")
    shelf.add("bolt", "spec('bolt/net')")
    acme, bolt = find_targets(["acme/other", "bolt", "acme/net", "acme/other"])
    assert list_names(list(Suite("static").run(acme, progress))) == ["acme", "acme/other", "acme/net"]
    assert (bolt.name, len(bolt.backbones)) == ("bolt", 1)
    (whole,) = find_targets(["acme/third", "acme"])
    assert sorted(backbone.name for backbone in whole.backbones) == ["acme/net", "acme/other", "acme/third"]


def test_each_family_checks_only_the_smallest_of_each_family(shelf: Any, progress: Recorder) -> None:
    shelf.add("acme", "spec(params=302)", "spec('acme/small')", "spec('acme/vit', family='vit', params=999)")
    found = list_names(list(Suite("static", each_family=True).run(find_target("acme"), progress)))
    assert found == ["acme", "acme/small", "acme/vit"]


@pytest.mark.parametrize("level", LEVELS)
def test_backbones_above_max_params_are_checked_up_to_level_meta(acme: BackboneSpec, level: Level) -> None:
    suite = Suite(level, "spec.", max_params=acme.params)
    larger = dataclasses.replace(acme, params=acme.params + 1)
    assert suite.scope_for(acme) == Scope(level, "spec.")
    assert suite.scope_for(larger) == Scope("static" if level == "static" else "meta", "spec.")
    assert Suite(level, "spec.").scope_for(larger) == Scope(level, "spec.")


def test_results_of_backbones_above_max_params_state_the_level(shelf: Any, progress: Recorder) -> None:
    shelf.add("acme", "spec()", "spec('acme/large', params=10**9)")
    suite = Suite("cpu", "build.params", max_params=1000)
    results = [result for result in suite.run(find_target("acme"), progress) if result.check == "forward.repeatable"]
    reasons = {result.backbone: result.reason for result in results}
    assert reasons == {"acme/net": "only build.params was requested", "acme/large": "it is above level meta"}


def test_an_invalid_number_of_parameters_does_not_count_as_large(acme: BackboneSpec) -> None:
    with checks_deferred():
        faulty = dataclasses.replace(acme, params="5M")  # type: ignore[arg-type]
    assert Suite("cpu", max_params=5).scope_for(faulty) == Scope("cpu")


def test_a_plugin_that_cannot_be_loaded_has_results(shelf: Any, progress: Recorder) -> None:
    shelf.add("acme", top="raise ValueError('why')")
    results = list(Suite("meta").run(find_target("acme"), progress))
    assert list_names(results) == ["acme"]
    assert "ValueError: why" in {result.check: result.reason for result in results}["plugin.imported"]


# Names that do not exist.


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acmee", "no plugin 'acmee' is installed; installed:"),
        ("acmee/net", "no plugin 'acmee' is installed"),
        ("acme/nett", "acme lists no backbone 'acme/nett'"),
    ],
)
def test_a_name_that_does_not_exist_is_an_error(shelf: Any, name: str, message: str) -> None:
    shelf.add("acme")
    with pytest.raises(NameNotFound, match=message):
        find_target(name)


@pytest.mark.parametrize(
    ("level", "only", "advice"),
    [
        ("cpu", "head.fuond", "check names begin with one of plugin., spec., build."),
        ("static", "head.", "use --level meta"),
        ("cpu", "weights.", "use --level network"),
    ],
)
def test_a_prefix_that_matches_no_check_at_the_level_is_an_error(
    shelf: Any, progress: Recorder, level: Level, only: str, advice: str
) -> None:
    shelf.add("acme")
    with pytest.raises(OptionError, match=re.escape(f"no check name at level {level} begins with '{only}'; {advice}")):
        list(Suite(level, only).run(find_target("acme"), progress))


def test_every_check_can_be_selected_alone() -> None:
    for check in CHECKS:
        assert Suite("network", check.name).only == check.name


# Unlisted backbones.

FINDS = "@hookimpl\ndef zoo_find_backbone(name):\n    return spec('acme/net', params=5) if '.' in name else None\n"


@pytest.mark.parametrize(
    ("level", "only", "status"),
    [("static", "spec.", "not-run"), ("meta", "build.params", "fail")],
)
def test_an_unlisted_backbone_is_checked_as_the_plugin_finds_it(
    shelf: Any, progress: Recorder, level: Level, only: str, status: str
) -> None:
    shelf.add("acme", end=FINDS)
    results = list(Suite(level, only).run(find_target("acme/net.v2"), progress))
    assert list_names(results) == ["acme", "acme/net.v2"]
    assert [result.status for result in results if result.check == "build.params"] == [status]


# Saved results.


def test_backbones_with_saved_results_are_not_rechecked(built: Path, progress: Recorder, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "results" / "results.jsonl")
    first = list(suite.run(find_target("acme"), progress))
    assert (count_checked(built), progress.lines) == (2, [])
    second = list(suite.run(find_target("acme"), progress))
    assert count_checked(built) == 2
    assert progress.lines == [f"{suite.save} already contains the results of 2 of 2 backbones"]
    assert sorted(second, key=str) == sorted(first, key=str)
    assert list_names(second) == ["acme", "acme/a", "acme/b"]


def test_an_interrupted_run_is_resumed(built: Path, progress: Recorder, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "results.jsonl")
    assert suite.save is not None
    list(suite.run(find_target("acme"), progress))
    first, _ = suite.save.read_bytes().splitlines(keepends=True)
    suite.save.write_bytes(first)
    before = count_checked(built)
    results = list(suite.run(find_target("acme"), progress))
    assert progress.lines == [f"{suite.save} already contains the results of 1 of 2 backbones"]
    assert sorted(list_names(results)) == ["acme", "acme/a", "acme/b"]
    assert {result.status for result in results if result.check == "build.params"} == {"pass"}
    assert count_checked(built) == before + 1


def test_only_backbones_with_failed_checks_are_rechecked(
    built: Path, shelf: Any, progress: Recorder, tmp_path: Path
) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "results.jsonl")
    bad = "spec('bolts/bad', build=noted('bad'), params=5)"
    end = f"BUILT = {str(built)!r}\n{NOTES}"
    shelf.add("bolts", bad, "spec('bolts/good', build=noted('good'))", end=end)
    for count in (2, 3):
        results = list(suite.run(find_target("bolts"), progress))
        statuses = {result.backbone: result.status for result in results if result.check == "build.params"}
        assert statuses["bolts/bad"] == "fail"
        assert statuses["bolts/good"] == "pass"
        assert count_checked(built) == count
    assert progress.lines == [f"{suite.save} already contains the results of 1 of 2 backbones"]


def test_results_for_a_different_scope_are_not_used(built: Path, progress: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    list(Suite("meta", "build.params", save=path).run(find_target("acme"), progress))
    list(Suite("meta", "build.meta", save=path).run(find_target("acme/a"), progress))
    assert (count_checked(built), progress.lines) == (3, [])


def test_backbones_with_results_from_different_code_are_rechecked(
    built: Path, shelf: Any, progress: Recorder, tmp_path: Path
) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "results.jsonl")
    list(suite.run(find_target("acme"), progress))
    with (shelf.folder / "kit_zoo_acme.py").open("a") as file:
        file.write("# more\n")
    list(suite.run(find_target("acme/a"), progress))
    list(suite.run(find_target("acme"), progress))
    assert count_checked(built) == 4
    assert progress.lines == [
        f"rechecking 1 of 1 backbones: their results in {suite.save} are from different code or versions",
        f"{suite.save} already contains the results of 1 of 2 backbones",
        f"rechecking 1 of 2 backbones: their results in {suite.save} are from different code or versions",
    ]


def test_results_of_a_large_backbone_are_saved_for_level_meta(built: Path, progress: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    larger = Suite("cpu", "build.params", max_params=1, save=path)
    for suite in (larger, larger, Suite("meta", "build.params", save=path)):
        list(suite.run(find_target("acme"), progress))
        assert count_checked(built) == 2


def test_a_foreign_file_is_an_error(built: Path, progress: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("a list of things to do\n")
    with pytest.raises(RunError, match="not a file that zoo check wrote"):
        list(Suite("meta", "build.params", save=path).run(find_target("acme"), progress))
    assert count_checked(built) == 0


def test_progress_counts_the_finished_backbones(built: Path, progress: Recorder, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "results.jsonl")
    list(suite.run(find_target("acme/a"), progress))
    assert (progress.tracked, progress.steps) == ([("checking acme/a", 1)], 1)
    list(suite.run(find_target("acme"), progress))  # One of them is in the file.
    assert (progress.tracked[1:], progress.steps) == ([("checking acme", 2)], 3)
    assert count_checked(built) == 2
