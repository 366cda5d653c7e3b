from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contract import checks_deferred
from zoo.errors import RunError
from zoo.plugin import BackboneSpec
from zoo.testing.examined import Examined
from zoo.testing.journal import Journal, list_versions
from zoo.testing.results import BAD, STATUSES, Result, Status
from zoo.testing.session import Scope
from zoo.testing.table import LEVELS

SCOPE = Scope("meta")
VERSIONS = {"zoo": "0.1.0", "zoo-acme": "1.5"}
EXAMINED = Examined("acme", "zoo-tiny", ("zoo-tiny",))  # a distribution that is installed

texts = st.text(max_size=20)
scopes = st.builds(Scope, st.sampled_from(LEVELS), texts)
versions = st.dictionaries(texts, texts, max_size=3)


@st.composite
def entries(draw: st.DrawFn) -> tuple[list[Result], Scope, dict[str, str]]:
    """Draw what is added to a journal: the results of a backbone, and how they were come by."""
    name = draw(texts)
    rows = draw(st.lists(st.tuples(texts, st.sampled_from(STATUSES), texts), min_size=1, max_size=3))
    return [Result(name, *row) for row in rows], draw(scopes), draw(versions)


def make_results(name: str = "acme/net") -> list[Result]:
    return [Result(name, "spec.name", "pass"), Result(name, "spec.fields", "xfail", "params='5M'\n\u2028")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "today" / "acme.jsonl"


@given(added=st.lists(entries(), max_size=4))
@settings(deadline=None)
def test_what_is_added_is_found_by_another_journal_of_the_same_file(
    added: list[tuple[list[Result], Scope, dict[str, str]]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        journal = Journal(path)
        for entry in added:
            journal.add(*entry)
        # The last one where two are of the same backbone, scope and versions; none that may be mended by now.
        last = {repr((entry[0][0].backbone, *entry[1:])): entry for entry in added}
        for results, scope, of in last.values():
            wanted = None if any(result.status in BAD for result in results) else results
            assert Journal(path).find(results[0].backbone, scope, of) == wanted
        assert Journal(path).find("another one", SCOPE, VERSIONS) is None
        assert [list(entry.results) for entry in Journal(path).entries] == [results for results, _, _ in added]


def test_a_journal_begins_with_no_file_and_none_is_made_for_nothing(path: Path) -> None:
    assert Journal(path).find("acme/net", SCOPE, VERSIONS) is None
    assert not path.parent.parent.exists()


def test_a_line_is_one_backbone(path: Path) -> None:
    journal = Journal(path)
    for name in ("acme/net", "acme/other"):
        journal.add(make_results(name), SCOPE, VERSIONS)
    rows = [json.loads(line) for line in path.read_text(encoding="ascii").split("\n")[:-1]]
    assert [row["backbone"] for row in rows] == ["acme/net", "acme/other"]


@pytest.mark.parametrize(
    "asked",
    [
        ("acme/other", SCOPE, VERSIONS),
        ("acme/net", Scope("static"), VERSIONS),
        ("acme/net", Scope("cpu"), VERSIONS),
        ("acme/net", Scope("meta", "head."), VERSIONS),
        ("acme/net", SCOPE, {**VERSIONS, "zoo": "0.1.1"}),
        ("acme/net", SCOPE, {**VERSIONS, "torch": "2.10"}),
        ("acme/net", SCOPE, {"zoo": "0.1.0"}),
    ],
    ids=["backbone", "lower-level", "higher-level", "only", "version", "one-more", "one-less"],
)
def test_results_of_something_else_are_not_found(path: Path, asked: tuple[str, Scope, dict[str, str]]) -> None:
    Journal(path).add(make_results(), SCOPE, VERSIONS)
    assert Journal(path).find("acme/net", SCOPE, VERSIONS) == make_results()
    assert Journal(path).find(*asked) is None


@pytest.mark.parametrize("status", STATUSES)
def test_a_backbone_that_broke_a_promise_is_to_be_looked_at_again(path: Path, status: Status) -> None:
    journal = Journal(path)
    journal.add([*make_results(), Result("acme/net", "spec.input", status, "why")], SCOPE, VERSIONS)
    is_found = Journal(path).find("acme/net", SCOPE, VERSIONS) is not None
    assert is_found == (status in {"pass", "xfail", "n/a", "not-run"})
    # What is seen then is what counts.
    journal.add(make_results(), SCOPE, VERSIONS)
    assert Journal(path).find("acme/net", SCOPE, VERSIONS) == make_results()


def test_a_promise_that_was_kept_once_does_not_hide_that_it_was_broken_later(path: Path) -> None:
    journal = Journal(path)
    journal.add(make_results(), SCOPE, VERSIONS)
    journal.add([Result("acme/net", "spec.name", "fail", "why")], SCOPE, VERSIONS)
    assert Journal(path).find("acme/net", SCOPE, VERSIONS) is None


# Files that are not whole.


@given(data=st.data())
@settings(deadline=None)
def test_a_line_that_was_cut_off_is_passed_over_and_overwritten(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        journal = Journal(path)
        journal.add(make_results("acme/first"), SCOPE, VERSIONS)
        first = path.read_bytes()
        journal.add(make_results("acme/second"), SCOPE, VERSIONS)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(len(first), len(whole) - 1))])

        again = Journal(path)
        assert again.find("acme/first", SCOPE, VERSIONS) == make_results("acme/first")
        assert again.find("acme/second", SCOPE, VERSIONS) is None
        again.add(make_results("acme/second"), SCOPE, VERSIONS)
        again.add(make_results("acme/third"), SCOPE, VERSIONS)
        assert path.read_bytes().startswith(whole)
        found = Journal(path)
        for name in ("acme/first", "acme/second", "acme/third"):
            assert found.find(name, SCOPE, VERSIONS) == make_results(name)


@pytest.mark.parametrize(
    "content",
    [
        b"3\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b"\n",
        b"\xff\xfe\n",
        b"a list of things to do\n",
        b"a list of things to do",
        b"\x80\x04K",
        b'{"backbone": "acme/net"}\n',
        b'{"backbone": "acme/net", "results": [["spec.name"]], "level": "meta", "only": "", "versions": {}}\n',
        b'{"backbone": "acme/net", "results": [], "level": "meta", "only": "", "versions": {}, "more": 1}\n',
        b'{"backbone": "acme/net", "results": 3, "level": "meta", "only": "", "versions": {}}\n',
        b'{"format": "pt", "tensors": []}',
    ],
)
def test_a_file_that_is_no_journal_is_an_error_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"mine is no file that zoo check wrote; give another one to --save\."):
        Journal(path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be read: .+; give another file to --save\."):
        Journal(tmp_path)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "folder" / "journal")
    (tmp_path / "folder").touch()  # a file, by now
    with pytest.raises(RunError, match=r"journal cannot be written: .+; give another file to --save\."):
        journal.add(make_results(), SCOPE, VERSIONS)


# Versions.


def test_results_depend_on_the_versions_of_zoo_the_plugin_torch_and_upstream(acme: BackboneSpec) -> None:
    upstream = dataclasses.replace(acme, upstream="pluggy==0.1")
    names = {"zoo", "zoo-tiny", "torch"}
    assert list_versions(EXAMINED, acme).keys() == list_versions(EXAMINED).keys() == names
    # The installed version, and not the declared one.
    assert list_versions(EXAMINED, upstream) == {name: importlib.metadata.version(name) for name in {*names, "pluggy"}}


@pytest.mark.parametrize(
    ("upstream", "more"), [("not-installed-at-all==1.0", {"not-installed-at-all": ""}), ("", {"": ""}), (3, {})]
)
def test_an_upstream_that_is_not_there_has_no_version_and_is_no_error(
    acme: BackboneSpec, upstream: Any, more: dict[str, str]
) -> None:
    with checks_deferred():
        spec = dataclasses.replace(acme, upstream=upstream)
    assert list_versions(EXAMINED, spec) == {**list_versions(EXAMINED), **more}
