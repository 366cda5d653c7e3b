from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import RunError
from zoo.testing.promises import LEVELS
from zoo.testing.results.fingerprint import Fingerprint
from zoo.testing.results.result import BAD, STATUSES, Result, Status
from zoo.testing.results.results_file import ResultsFile
from zoo.testing.runner import Scope

SCOPE = Scope("meta")
VERSIONS = {"zoo": "0.1.0", "zoo-acme": "1.5"}
CODE = {"zoo": "0123", "zoo-acme": "4567"}
FINGERPRINT = Fingerprint(VERSIONS, CODE)

texts = st.text(max_size=20)
scopes = st.builds(Scope, st.sampled_from(LEVELS), texts)
mappings = st.dictionaries(texts, texts, max_size=3)
fingerprints = st.builds(Fingerprint, mappings, mappings)


@st.composite
def entries(draw: st.DrawFn) -> tuple[list[Result], Scope, Fingerprint]:
    """Draw what is added to a journal: the results of a backbone, and how they were come by."""
    name = draw(texts)
    rows = draw(st.lists(st.tuples(texts, st.sampled_from(STATUSES), texts), min_size=1, max_size=3))
    return [Result(name, *row) for row in rows], draw(scopes), draw(fingerprints)


def make_results(name: str = "acme/net") -> list[Result]:
    return [Result(name, "spec.name", "pass"), Result(name, "spec.fields", "xfail", "params='5M'\n\u2028")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "today" / "acme.jsonl"


@given(added=st.lists(entries(), max_size=4))
@settings(deadline=None)
def test_what_is_added_is_found_by_another_journal_of_the_same_file(
    added: list[tuple[list[Result], Scope, Fingerprint]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        journal = ResultsFile(path)
        for entry in added:
            journal.add(*entry)
        # The last one where two are of the same backbone, scope and versions; none that may be mended by now.
        last = {repr((entry[0][0].backbone, *entry[1:])): entry for entry in added}
        for results, scope, of in last.values():
            wanted = None if any(result.status in BAD for result in results) else results
            assert ResultsFile(path).find(results[0].backbone, scope, of) == wanted
        assert ResultsFile(path).find("another one", SCOPE, FINGERPRINT) is None
        assert [list(entry.results) for entry in ResultsFile(path).entries] == [results for results, _, _ in added]


def test_a_journal_begins_with_no_file_and_none_is_made_for_nothing(path: Path) -> None:
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is None
    assert not path.parent.parent.exists()


def test_a_line_is_one_backbone(path: Path) -> None:
    journal = ResultsFile(path)
    for name in ("acme/net", "acme/other"):
        journal.add(make_results(name), SCOPE, FINGERPRINT)
    rows = [json.loads(line) for line in path.read_text(encoding="ascii").split("\n")[:-1]]
    assert [row["backbone"] for row in rows] == ["acme/net", "acme/other"]


@pytest.mark.parametrize(
    "asked",
    [
        ("acme/other", SCOPE, FINGERPRINT),
        ("acme/net", Scope("static"), FINGERPRINT),
        ("acme/net", Scope("cpu"), FINGERPRINT),
        ("acme/net", Scope("meta", "head."), FINGERPRINT),
        ("acme/net", SCOPE, Fingerprint({**VERSIONS, "zoo": "0.1.1"}, CODE)),
        ("acme/net", SCOPE, Fingerprint({**VERSIONS, "torch": "2.10"}, CODE)),
        ("acme/net", SCOPE, Fingerprint({"zoo": "0.1.0"}, CODE)),
        ("acme/net", SCOPE, Fingerprint(VERSIONS, {**CODE, "zoo-acme": "89ab"})),
    ],
    ids=["backbone", "lower-level", "higher-level", "only", "version", "one-more", "one-less", "code"],
)
def test_results_of_something_else_are_not_found(path: Path, asked: tuple[str, Scope, Fingerprint]) -> None:
    ResultsFile(path).add(make_results(), SCOPE, FINGERPRINT)
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) == make_results()
    assert ResultsFile(path).find(*asked) is None


@pytest.mark.parametrize("status", STATUSES)
def test_a_backbone_that_broke_a_promise_is_to_be_looked_at_again(path: Path, status: Status) -> None:
    journal = ResultsFile(path)
    journal.add([*make_results(), Result("acme/net", "spec.input", status, "why")], SCOPE, FINGERPRINT)
    is_found = ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is not None
    assert is_found == (status in {"pass", "xfail", "n/a", "not-run"})
    # What is seen then is what counts.
    journal.add(make_results(), SCOPE, FINGERPRINT)
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) == make_results()


def test_a_promise_that_was_kept_once_does_not_hide_that_it_was_broken_later(path: Path) -> None:
    journal = ResultsFile(path)
    journal.add(make_results(), SCOPE, FINGERPRINT)
    journal.add([Result("acme/net", "spec.name", "fail", "why")], SCOPE, FINGERPRINT)
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is None


@pytest.mark.parametrize("status", ["pass", "fail"])
def test_results_are_outdated_where_all_of_them_are_on_another_basis(path: Path, status: Status) -> None:
    other = Fingerprint(VERSIONS, {})
    assert not ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)
    ResultsFile(path).add([Result("acme/net", "spec.name", status)], SCOPE, other)
    assert ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)
    assert not ResultsFile(path).is_outdated("acme/net", SCOPE, other)
    assert not ResultsFile(path).is_outdated("acme/net", Scope("cpu"), FINGERPRINT)
    assert not ResultsFile(path).is_outdated("acme/other", SCOPE, FINGERPRINT)
    ResultsFile(path).add(make_results(), SCOPE, FINGERPRINT)
    assert not ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)


def test_lines_that_say_nothing_of_code_are_read_and_are_outdated(tmp_path: Path) -> None:
    line = {"backbone": "acme/net", "level": "meta", "only": "", "versions": VERSIONS, "results": []}
    path = tmp_path / "journal"
    path.write_text(f"{json.dumps(line)}\n")
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is None
    assert ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)


# Files that are not whole.


@given(data=st.data())
@settings(deadline=None)
def test_a_line_that_was_cut_off_is_passed_over_and_overwritten(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        journal = ResultsFile(path)
        journal.add(make_results("acme/first"), SCOPE, FINGERPRINT)
        first = path.read_bytes()
        journal.add(make_results("acme/second"), SCOPE, FINGERPRINT)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(len(first), len(whole) - 1))])

        again = ResultsFile(path)
        assert again.find("acme/first", SCOPE, FINGERPRINT) == make_results("acme/first")
        assert again.find("acme/second", SCOPE, FINGERPRINT) is None
        again.add(make_results("acme/second"), SCOPE, FINGERPRINT)
        again.add(make_results("acme/third"), SCOPE, FINGERPRINT)
        assert path.read_bytes().startswith(whole)
        found = ResultsFile(path)
        for name in ("acme/first", "acme/second", "acme/third"):
            assert found.find(name, SCOPE, FINGERPRINT) == make_results(name)


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
        ResultsFile(path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be read: .+; give another file to --save\."):
        ResultsFile(tmp_path)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    journal = ResultsFile(tmp_path / "folder" / "journal")
    (tmp_path / "folder").touch()  # a file, by now
    with pytest.raises(RunError, match=r"journal cannot be written: .+; give another file to --save\."):
        journal.add(make_results(), SCOPE, FINGERPRINT)
