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
    """Generate the arguments of `add`: the results of a backbone, their scope and their fingerprint."""
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
def test_added_results_are_found_when_the_file_is_read_again(
    added: list[tuple[list[Result], Scope, Fingerprint]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        file = ResultsFile(path)
        for entry in added:
            file.add(*entry)
        # The last entry of a backbone, scope and fingerprint counts, unless a check failed.
        last = {repr((entry[0][0].backbone, *entry[1:])): entry for entry in added}
        for results, scope, of in last.values():
            wanted = None if any(result.status in BAD for result in results) else results
            assert ResultsFile(path).find(results[0].backbone, scope, of) == wanted
        assert ResultsFile(path).find("another", SCOPE, FINGERPRINT) is None
        assert [list(entry.results) for entry in ResultsFile(path).entries] == [results for results, _, _ in added]


def test_a_missing_file_has_no_results_and_is_not_created(path: Path) -> None:
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is None
    assert not path.parent.parent.exists()


def test_each_line_holds_one_backbone(path: Path) -> None:
    file = ResultsFile(path)
    for name in ("acme/net", "acme/other"):
        file.add(make_results(name), SCOPE, FINGERPRINT)
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
    ids=["backbone", "lower-level", "higher-level", "only", "version", "more-versions", "fewer-versions", "code"],
)
def test_results_with_a_different_name_scope_or_fingerprint_are_not_found(
    path: Path, asked: tuple[str, Scope, Fingerprint]
) -> None:
    ResultsFile(path).add(make_results(), SCOPE, FINGERPRINT)
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) == make_results()
    assert ResultsFile(path).find(*asked) is None


@pytest.mark.parametrize("status", STATUSES)
def test_a_backbone_with_failed_checks_is_rechecked(path: Path, status: Status) -> None:
    file = ResultsFile(path)
    file.add([*make_results(), Result("acme/net", "spec.input", status, "why")], SCOPE, FINGERPRINT)
    is_found = ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is not None
    assert is_found == (status in {"pass", "xfail", "n/a", "not-run"})
    # The later results count.
    file.add(make_results(), SCOPE, FINGERPRINT)
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) == make_results()


def test_an_old_pass_does_not_hide_a_later_failure(path: Path) -> None:
    file = ResultsFile(path)
    file.add(make_results(), SCOPE, FINGERPRINT)
    file.add([Result("acme/net", "spec.name", "fail", "why")], SCOPE, FINGERPRINT)
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is None


@pytest.mark.parametrize("status", ["pass", "fail"])
def test_results_are_outdated_if_all_have_a_different_fingerprint(path: Path, status: Status) -> None:
    other = Fingerprint(VERSIONS, {})
    assert not ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)
    ResultsFile(path).add([Result("acme/net", "spec.name", status)], SCOPE, other)
    assert ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)
    assert not ResultsFile(path).is_outdated("acme/net", SCOPE, other)
    assert not ResultsFile(path).is_outdated("acme/net", Scope("cpu"), FINGERPRINT)
    assert not ResultsFile(path).is_outdated("acme/other", SCOPE, FINGERPRINT)
    ResultsFile(path).add(make_results(), SCOPE, FINGERPRINT)
    assert not ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)


def test_lines_without_code_digests_are_read_and_are_outdated(tmp_path: Path) -> None:
    line = {"backbone": "acme/net", "level": "meta", "only": "", "versions": VERSIONS, "results": []}
    path = tmp_path / "file"
    path.write_text(f"{json.dumps(line)}\n")
    assert ResultsFile(path).find("acme/net", SCOPE, FINGERPRINT) is None
    assert ResultsFile(path).is_outdated("acme/net", SCOPE, FINGERPRINT)


# Incomplete and foreign files.


@given(data=st.data())
@settings(deadline=None)
def test_an_incomplete_line_is_ignored_and_overwritten(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        file = ResultsFile(path)
        file.add(make_results("acme/first"), SCOPE, FINGERPRINT)
        first = path.read_bytes()
        file.add(make_results("acme/second"), SCOPE, FINGERPRINT)
        complete = path.read_bytes()
        path.write_bytes(complete[: data.draw(st.integers(len(first), len(complete) - 1))])

        again = ResultsFile(path)
        assert again.find("acme/first", SCOPE, FINGERPRINT) == make_results("acme/first")
        assert again.find("acme/second", SCOPE, FINGERPRINT) is None
        again.add(make_results("acme/second"), SCOPE, FINGERPRINT)
        again.add(make_results("acme/third"), SCOPE, FINGERPRINT)
        assert path.read_bytes().startswith(complete)
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
def test_a_different_kind_of_file_is_an_error_and_is_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"mine is not a file that zoo check wrote; pass a different file to --save\."):
        ResultsFile(path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be read: .+; pass a different file to --save\."):
        ResultsFile(tmp_path)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "folder" / "file")
    (tmp_path / "folder").touch()  # The folder is a file now.
    with pytest.raises(RunError, match=r"file cannot be written: .+; pass a different file to --save\."):
        file.add(make_results(), SCOPE, FINGERPRINT)
