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
from zoo.testing.suite import Suite, find_target

#: Notes which network is built, and in which process.
NOTES = """
def noted(name):
    def build_noted(tag=None):
        import os

        with open(BUILT, "a") as file:
            print(name, os.getpid(), file=file)
        return build(tag)

    return build_noted
"""


class Told:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        #: Title and total of what goes on.
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
def told() -> Told:
    return Told()


@pytest.fixture
def built(shelf: Any, tmp_path: Path) -> Path:
    """A file to which two installed networks, acme/a and acme/b, write a line when they are built."""
    path = tmp_path / "built"
    specs = [f"spec('acme/{name}', build=noted('{name}'))" for name in "ab"]
    shelf.add("acme", *specs, end=f"BUILT = {str(path)!r}\n{NOTES}")
    path.touch()
    return path


def list_names(results: list[Result]) -> list[str]:
    """List the plugin and the backbones, each of which must have one result of each check."""
    names = list(dict.fromkeys(result.backbone for result in results))
    for name in names:
        wanted = [check.name for check in list_checks(of_plugin="/" not in name)]
        assert [result.check for result in results if result.backbone == name] == wanted
    return names


def count_looks(built: Path) -> int:
    """Count how often a network was looked at, however often it was built for that: in one process, which ends."""
    return len({*built.read_text().splitlines()})


# What is looked at.


@pytest.mark.parametrize("level", ["static", "meta"])
def test_of_a_namespace_the_plugin_and_all_its_backbones_are_looked_at(shelf: Any, told: Told, level: Level) -> None:
    shelf.add("acme", "spec()", "spec('acme/other')")
    results = list(Suite(level, "spec.").run(find_target("acme"), told))
    first, *others = list_names(results)
    assert first == "acme"
    assert sorted(others) == ["acme/net", "acme/other"]
    assert {result.status for result in results if result.check.startswith("spec.")} == {"pass"}


def test_of_a_backbone_it_and_its_plugin_are_looked_at(shelf: Any, told: Told) -> None:
    shelf.add("acme", "spec()", "spec('acme/other')")
    assert list_names(list(Suite("static").run(find_target("acme/other"), told))) == ["acme", "acme/other"]


def test_of_each_family_only_the_smallest_is_looked_at(shelf: Any, told: Told) -> None:
    shelf.add("acme", "spec(params=302)", "spec('acme/small')", "spec('acme/vit', family='vit', params=999)")
    found = list_names(list(Suite("static", each_family=True).run(find_target("acme"), told)))
    assert found == ["acme", "acme/small", "acme/vit"]


@pytest.mark.parametrize("level", LEVELS)
def test_larger_backbones_are_looked_at_up_to_level_meta(acme: BackboneSpec, level: Level) -> None:
    suite = Suite(level, "spec.", max_params=acme.params)
    larger = dataclasses.replace(acme, params=acme.params + 1)
    assert suite.scope_for(acme) == Scope(level, "spec.")
    assert suite.scope_for(larger) == Scope("static" if level == "static" else "meta", "spec.")
    assert Suite(level, "spec.").scope_for(larger) == Scope(level, "spec.")


def test_the_level_of_larger_backbones_is_said_in_their_results(shelf: Any, told: Told) -> None:
    shelf.add("acme", "spec()", "spec('acme/large', params=10**9)")
    suite = Suite("cpu", "build.params", max_params=1000)
    results = [result for result in suite.run(find_target("acme"), told) if result.check == "forward.repeatable"]
    reasons = {result.backbone: result.reason for result in results}
    assert reasons == {"acme/net": "only build.params was asked for", "acme/large": "it is above level meta"}


def test_a_number_of_parameters_that_is_none_holds_nothing_up(acme: BackboneSpec) -> None:
    with checks_deferred():
        faulty = dataclasses.replace(acme, params="5M")  # type: ignore[arg-type]
    assert Suite("cpu", max_params=5).scope_for(faulty) == Scope("cpu")


def test_a_plugin_that_cannot_be_loaded_has_results_of_its_own(shelf: Any, told: Told) -> None:
    shelf.add("acme", top="raise ValueError('why')")
    results = list(Suite("meta").run(find_target("acme"), told))
    assert list_names(results) == ["acme"]
    assert "ValueError: why" in {result.check: result.reason for result in results}["plugin.imported"]


# What is asked for must exist.


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("acmee", "no plugin 'acmee' is installed; installed:"),
        ("acmee/net", "no plugin 'acmee' is installed"),
        ("acme/nett", "acme lists no backbone 'acme/nett'"),
    ],
)
def test_a_name_that_does_not_exist_is_an_error(shelf: Any, name: str, says: str) -> None:
    shelf.add("acme")
    with pytest.raises(NameNotFound, match=says):
        find_target(name)


@pytest.mark.parametrize(
    ("level", "only", "cure"),
    [
        ("cpu", "head.fuond", "all begin with plugin., spec., build."),
        ("static", "head.", "give --level meta"),
        ("cpu", "weights.", "give --level network"),
    ],
)
def test_checks_that_do_not_exist_on_a_level_are_an_error(
    shelf: Any, told: Told, level: Level, only: str, cure: str
) -> None:
    shelf.add("acme")
    with pytest.raises(OptionError, match=re.escape(f"no check on level {level} begins with '{only}'; {cure}")):
        list(Suite(level, only).run(find_target("acme"), told))


def test_every_check_can_be_asked_for_on_its_own() -> None:
    for check in CHECKS:
        assert Suite("network", check.name).only == check.name


# What is not listed.

FINDS = "@hookimpl\ndef zoo_find_backbone(name):\n    return spec('acme/net', params=5) if '.' in name else None\n"


@pytest.mark.parametrize(
    ("level", "only", "status"),
    [("static", "spec.", "not-run"), ("meta", "build.params", "fail")],
)
def test_a_backbone_that_is_not_listed_is_looked_at_as_the_plugin_finds_it(
    shelf: Any, told: Told, level: Level, only: str, status: str
) -> None:
    shelf.add("acme", end=FINDS)
    results = list(Suite(level, only).run(find_target("acme/net.v2"), told))
    assert list_names(results) == ["acme", "acme/net.v2"]
    assert [result.status for result in results if result.check == "build.params"] == [status]


# What is kept.


def test_what_a_file_holds_is_not_looked_at_again(built: Path, told: Told, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "results" / "journal")
    first = list(suite.run(find_target("acme"), told))
    assert (count_looks(built), told.lines) == (2, [])
    second = list(suite.run(find_target("acme"), told))
    assert count_looks(built) == 2
    assert told.lines == [f"{suite.save} holds the results of 2 of 2 backbones"]
    assert sorted(second, key=str) == sorted(first, key=str)
    assert list_names(second) == ["acme", "acme/a", "acme/b"]


def test_what_was_broken_off_is_gone_on_with(built: Path, told: Told, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "journal")
    assert suite.save is not None
    list(suite.run(find_target("acme"), told))
    first, _ = suite.save.read_bytes().splitlines(keepends=True)
    suite.save.write_bytes(first)
    before = count_looks(built)
    results = list(suite.run(find_target("acme"), told))
    assert told.lines == [f"{suite.save} holds the results of 1 of 2 backbones"]
    assert sorted(list_names(results)) == ["acme", "acme/a", "acme/b"]
    assert {result.status for result in results if result.check == "build.params"} == {"pass"}
    assert count_looks(built) == before + 1


def test_backbones_that_broke_a_promise_are_looked_at_again_and_the_others_are_not(
    built: Path, shelf: Any, told: Told, tmp_path: Path
) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "journal")
    bad = "spec('bolts/bad', build=noted('bad'), params=5)"
    end = f"BUILT = {str(built)!r}\n{NOTES}"
    shelf.add("bolts", bad, "spec('bolts/good', build=noted('good'))", end=end)
    for looks in (2, 3):
        results = list(suite.run(find_target("bolts"), told))
        statuses = {result.backbone: result.status for result in results if result.check == "build.params"}
        assert statuses["bolts/bad"] == "fail"
        assert statuses["bolts/good"] == "pass"
        assert count_looks(built) == looks
    assert told.lines == [f"{suite.save} holds the results of 1 of 2 backbones"]


def test_what_was_looked_at_otherwise_is_looked_at_again(built: Path, told: Told, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    list(Suite("meta", "build.params", save=path).run(find_target("acme"), told))
    list(Suite("meta", "build.meta", save=path).run(find_target("acme/a"), told))
    assert (count_looks(built), told.lines) == (3, [])


def test_what_was_seen_of_other_code_is_looked_at_again(built: Path, shelf: Any, told: Told, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "journal")
    list(suite.run(find_target("acme"), told))
    with (shelf.folder / "kit_zoo_acme.py").open("a") as file:
        file.write("# more\n")
    list(suite.run(find_target("acme/a"), told))
    list(suite.run(find_target("acme"), told))
    assert count_looks(built) == 4
    assert told.lines == [
        f"{suite.save} holds results of 1 from other code or versions; they are looked at again",
        f"{suite.save} holds the results of 1 of 2 backbones",
        f"{suite.save} holds results of 1 from other code or versions; they are looked at again",
    ]


def test_a_larger_backbone_is_kept_by_the_level_that_it_was_looked_at(built: Path, told: Told, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    larger = Suite("cpu", "build.params", max_params=1, save=path)
    for suite in (larger, larger, Suite("meta", "build.params", save=path)):
        list(suite.run(find_target("acme"), told))
        assert count_looks(built) == 2


def test_a_file_that_is_no_journal_is_an_error(built: Path, told: Told, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("a list of things to do\n")
    with pytest.raises(RunError, match="no file that zoo check wrote"):
        list(Suite("meta", "build.params", save=path).run(find_target("acme"), told))
    assert count_looks(built) == 0


def test_who_waits_is_told_how_many_backbones_are_done(built: Path, told: Told, tmp_path: Path) -> None:
    suite = Suite("meta", "build.params", save=tmp_path / "journal")
    list(suite.run(find_target("acme/a"), told))
    assert (told.tracked, told.steps) == ([("checking acme/a", 1)], 1)
    list(suite.run(find_target("acme"), told))  # one of them from the file
    assert (told.tracked[1:], told.steps) == ([("checking acme", 2)], 3)
    assert count_looks(built) == 2
