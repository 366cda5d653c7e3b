from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import RunError
from zoo.testing.promises import Level
from zoo.testing.results.fingerprint import Fingerprint
from zoo.testing.results.markdown_page import SECTIONS, main, write_page
from zoo.testing.results.result import BAD, Result, Status
from zoo.testing.results.results_file import Entry, ResultsFile
from zoo.testing.runner import Scope

VERSIONS = {"zoo": "0.1.0", "torch": "2.13.0"}
#: Results of the first checks of each backbone.
RESULTS: dict[str, tuple[tuple[str, Status, str], ...]] = {
    "acme/a": (("spec.name", "pass", ""), ("blocks.several", "n/a", "it is one layer"), ("can.bf16", "not-run", "no")),
    "acme/b": (("spec.name", "pass", ""), ("blocks.several", "n/a", "it is one layer"), ("can.bf16", "fail", "a|b")),
    "acme/vit": (
        ("spec.name", "xfail", "asked upstream"),
        ("blocks.several", "xpass", "remove it"),
        ("can.bf16", "error", "OSError: why"),
    ),
}


def make_entry(name: str, level: Level = "cpu", **versions: str) -> Entry:
    results = tuple(Result(name, *row) for row in RESULTS[name])
    return Entry(name, Scope(level), Fingerprint({**VERSIONS, **versions}, {}), results)


@pytest.fixture
def entries(shelf: Any) -> list[Entry]:
    """Entries of three backbones from two families of an installed plugin; one is large."""
    shelf.add("acme", "spec('acme/a')", "spec('acme/b')", "spec('acme/vit', family='vit')")
    return [make_entry("acme/a"), make_entry("acme/b"), make_entry("acme/vit", "meta")]


def read_table(page: str, title: str) -> list[list[str]]:
    """Return the rows of the first table below a title, without its header."""
    lines = page.partition(f" {title}\n")[2].partition("\n#")[0].splitlines()
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in lines if line.startswith("|")]
    return rows[2:]


def test_every_family_has_a_row_and_the_last_row_has_the_totals(entries: list[Entry]) -> None:
    assert read_table(write_page(entries), "acme") == [
        # The columns are backbones, run on CPU, pass, n/a, xfail, failed, not run and total.
        ["f", "2", "2", "2", "2", "0", "1", "1", "6"],
        ["vit", "1", "0", "0", "0", "1", "2", "0", "3"],
        ["**all**", "3", "2", "2", "2", "1", "3", "1", "9"],
    ]


def test_each_reason_appears_once_with_its_backbones_and_families(entries: list[Entry]) -> None:
    page = write_page(entries)
    assert read_table(page, "Not applicable") == [["blocks.several", "it is one layer", "2", "f"]]
    assert read_table(page, "Expected failures") == [["spec.name", "asked upstream", "1", "vit"]]
    assert read_table(page, "Failed checks") == [["can.bf16", "a\\|b", "1", "f"]]
    assert read_table(page, "Errors") == [["can.bf16", "OSError: why", "1", "vit"]]
    assert read_table(page, "Passed, although declared as expected failures") == [
        ["blocks.several", "remove it", "1", "vit"]
    ]


def test_a_reason_that_applies_to_every_family_is_marked_as_all(entries: list[Entry]) -> None:
    other = dataclasses.replace(entries[2], results=(Result("acme/vit", "blocks.several", "n/a", "it is one layer"),))
    assert read_table(write_page([*entries[:2], other]), "Not applicable")[0][-1] == "all"


def test_every_status_with_a_reason_has_a_section() -> None:
    assert {*BAD, "n/a", "xfail"} == SECTIONS.keys()


def test_reasons_are_in_the_order_of_the_checks(entries: list[Entry]) -> None:
    results = tuple(Result("acme/a", check, "n/a", "no") for check in ("can.bf16", "head.mlp", "build.weights"))
    page = write_page([dataclasses.replace(entries[0], results=results)])
    assert [row[0] for row in read_table(page, "Not applicable")] == ["build.weights", "head.mlp", "can.bf16"]


def test_backbones_checked_only_up_to_level_meta_are_listed(entries: list[Entry]) -> None:
    assert "1 of 3: acme/vit." in write_page(entries)


def test_only_the_last_entry_of_a_backbone_counts(entries: list[Entry]) -> None:
    fixed = dataclasses.replace(entries[1], results=(Result("acme/b", "can.bf16", "pass"),))
    page = write_page([*entries, fixed])
    assert read_table(page, "Failed checks") == []
    assert read_table(page, "acme")[0] == ["f", "2", "2", "2", "1", "0", "0", "1", "4"]


def test_the_page_lists_the_versions_and_mixed_versions_are_refused(entries: list[Entry]) -> None:
    assert "\nChecked with torch 2.13.0, zoo 0.1.0.\n" in write_page(entries)
    with pytest.raises(RunError, match=r"different versions of torch; recheck all with one version\."):
        write_page([*entries, make_entry("acme/a", torch="2.14.0"), make_entry("acme/b")])


def test_without_entries_the_error_says_how_to_save_some() -> None:
    with pytest.raises(RunError, match="zoo check NAMESPACE --save FILE"):
        write_page([])


def test_the_page_of_a_file_of_results_is_printed(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    file = ResultsFile(path)
    for entry in entries:
        file.add(entry.results, entry.scope, entry.fingerprint)
    monkeypatch.setattr("sys.argv", ["page", str(path)])
    main()
    assert capsys.readouterr().out == write_page(entries)


@pytest.mark.parametrize(
    ("content", "message"), [("", "there are no results"), ("3\n", "not a file that zoo check wrote")]
)
def test_a_file_without_results_is_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(content)
    monkeypatch.setattr("sys.argv", ["page", str(path)])
    with pytest.raises(SystemExit, match=f"^Error: .*{message}"):
        main()
