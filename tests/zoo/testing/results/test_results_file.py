from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import RunError
from zoo.testing.promises import LEVELS
from zoo.testing.results.result import BAD, STATUSES, Result, Status
from zoo.testing.results.results_file import Journal
from zoo.testing.results.validity import Basis
from zoo.testing.runner import Scope

SCOPE = Scope("meta")
VERSIONS = {"zoo": "0.1.0", "zoo-acme": "1.5"}
CODE = {"zoo": "0123", "zoo-acme": "4567"}
BASIS = Basis(VERSIONS, CODE)

texts = st.text(max_size=20)
scopes = st.builds(Scope, st.sampled_from(LEVELS), texts)
mappings = st.dictionaries(texts, texts, max_size=3)
bases = st.builds(Basis, mappings, mappings)


@st.composite
def entries(draw: st.DrawFn) -> tuple[list[Result], Scope, Basis]:
    """Draw what is added to a journal: the results of a backbone, and how they were come by."""
    name = draw(texts)
    rows = draw(st.lists(st.tuples(texts, st.sampled_from(STATUSES), texts), min_size=1, max_size=3))
    return [Result(name, *row) for row in rows], draw(scopes), draw(bases)


def make_results(name: str = "acme/net") -> list[Result]:
    return [Result(name, "spec.name", "pass"), Result(name, "spec.fields", "xfail", "params='5M'\n\u2028")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "today" / "acme.jsonl"


@given(added=st.lists(entries(), max_size=4))
@settings(deadline=None)
def test_what_is_added_is_found_by_another_journal_of_the_same_file(
    added: list[tuple[list[Result], Scope, Basis]],
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
        assert Journal(path).find("another one", SCOPE, BASIS) is None
        assert [list(entry.results) for entry in Journal(path).entries] == [results for results, _, _ in added]


def test_a_journal_begins_with_no_file_and_none_is_made_for_nothing(path: Path) -> None:
    assert Journal(path).find("acme/net", SCOPE, BASIS) is None
    assert not path.parent.parent.exists()


def test_a_line_is_one_backbone(path: Path) -> None:
    journal = Journal(path)
    for name in ("acme/net", "acme/other"):
        journal.add(make_results(name), SCOPE, BASIS)
    rows = [json.loads(line) for line in path.read_text(encoding="ascii").split("\n")[:-1]]
    assert [row["backbone"] for row in rows] == ["acme/net", "acme/other"]


@pytest.mark.parametrize(
    "asked",
    [
        ("acme/other", SCOPE, BASIS),
        ("acme/net", Scope("static"), BASIS),
        ("acme/net", Scope("cpu"), BASIS),
        ("acme/net", Scope("meta", "head."), BASIS),
        ("acme/net", SCOPE, Basis({**VERSIONS, "zoo": "0.1.1"}, CODE)),
        ("acme/net", SCOPE, Basis({**VERSIONS, "torch": "2.10"}, CODE)),
        ("acme/net", SCOPE, Basis({"zoo": "0.1.0"}, CODE)),
        ("acme/net", SCOPE, Basis(VERSIONS, {**CODE, "zoo-acme": "89ab"})),
    ],
    ids=["backbone", "lower-level", "higher-level", "only", "version", "one-more", "one-less", "code"],
)
def test_results_of_something_else_are_not_found(path: Path, asked: tuple[str, Scope, Basis]) -> None:
    Journal(path).add(make_results(), SCOPE, BASIS)
    assert Journal(path).find("acme/net", SCOPE, BASIS) == make_results()
    assert Journal(path).find(*asked) is None


@pytest.mark.parametrize("status", STATUSES)
def test_a_backbone_that_broke_a_promise_is_to_be_looked_at_again(path: Path, status: Status) -> None:
    journal = Journal(path)
    journal.add([*make_results(), Result("acme/net", "spec.input", status, "why")], SCOPE, BASIS)
    is_found = Journal(path).find("acme/net", SCOPE, BASIS) is not None
    assert is_found == (status in {"pass", "xfail", "n/a", "not-run"})
    # What is seen then is what counts.
    journal.add(make_results(), SCOPE, BASIS)
    assert Journal(path).find("acme/net", SCOPE, BASIS) == make_results()


def test_a_promise_that_was_kept_once_does_not_hide_that_it_was_broken_later(path: Path) -> None:
    journal = Journal(path)
    journal.add(make_results(), SCOPE, BASIS)
    journal.add([Result("acme/net", "spec.name", "fail", "why")], SCOPE, BASIS)
    assert Journal(path).find("acme/net", SCOPE, BASIS) is None


@pytest.mark.parametrize("status", ["pass", "fail"])
def test_results_are_outdated_where_all_of_them_are_on_another_basis(path: Path, status: Status) -> None:
    other = Basis(VERSIONS, {})
    assert not Journal(path).is_outdated("acme/net", SCOPE, BASIS)
    Journal(path).add([Result("acme/net", "spec.name", status)], SCOPE, other)
    assert Journal(path).is_outdated("acme/net", SCOPE, BASIS)
    assert not Journal(path).is_outdated("acme/net", SCOPE, other)
    assert not Journal(path).is_outdated("acme/net", Scope("cpu"), BASIS)
    assert not Journal(path).is_outdated("acme/other", SCOPE, BASIS)
    Journal(path).add(make_results(), SCOPE, BASIS)
    assert not Journal(path).is_outdated("acme/net", SCOPE, BASIS)


def test_lines_that_say_nothing_of_code_are_read_and_are_outdated(tmp_path: Path) -> None:
    line = {"backbone": "acme/net", "level": "meta", "only": "", "versions": VERSIONS, "results": []}
    path = tmp_path / "journal"
    path.write_text(f"{json.dumps(line)}\n")
    assert Journal(path).find("acme/net", SCOPE, BASIS) is None
    assert Journal(path).is_outdated("acme/net", SCOPE, BASIS)


# Files that are not whole.


@given(data=st.data())
@settings(deadline=None)
def test_a_line_that_was_cut_off_is_passed_over_and_overwritten(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        journal = Journal(path)
        journal.add(make_results("acme/first"), SCOPE, BASIS)
        first = path.read_bytes()
        journal.add(make_results("acme/second"), SCOPE, BASIS)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(len(first), len(whole) - 1))])

        again = Journal(path)
        assert again.find("acme/first", SCOPE, BASIS) == make_results("acme/first")
        assert again.find("acme/second", SCOPE, BASIS) is None
        again.add(make_results("acme/second"), SCOPE, BASIS)
        again.add(make_results("acme/third"), SCOPE, BASIS)
        assert path.read_bytes().startswith(whole)
        found = Journal(path)
        for name in ("acme/first", "acme/second", "acme/third"):
            assert found.find(name, SCOPE, BASIS) == make_results(name)


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
        journal.add(make_results(), SCOPE, BASIS)
