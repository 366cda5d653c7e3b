"""docs/reference/conformance.md lists every check, level, status, argument and output of the kit."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from zoo.cli import cli
from zoo.plugin.capabilities import CAPABILITIES, EXPECTED
from zoo.testing import BAD, CHECKS, LEVELS, Result, conformance
from zoo.testing.results.result import STATUSES

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")


def read_rows(section: str, columns: int) -> list[tuple[str, ...]]:
    """Return the rows, without the header, of the tables in a section that have the given number of columns."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [tuple(line.strip("| ").split(" | ")) for line in text.splitlines() if line.startswith("| ")]
    return [row for row in rows[1:] if len(row) == columns]


def mark(names: tuple[str, ...]) -> list[str]:
    return [f"`{name}`" for name in names]


def test_every_check_is_documented_with_level_promise_and_needs() -> None:
    assert read_rows("All checks", 4) == [
        (f"`{check.name}`", check.level, check.promise, ", ".join(mark(check.needs)) or "-") for check in CHECKS
    ]


def test_every_level_is_documented() -> None:
    assert [row[0] for row in read_rows("Levels", 3)] == mark(LEVELS)


def test_every_status_is_documented() -> None:
    wanted = [(f"`{status}`", "yes" if status in BAD else "no") for status in STATUSES]
    assert [(status, fails) for status, _, fails in read_rows("Statuses", 3)] == wanted


def test_every_capability_is_documented_with_its_check() -> None:
    proved = {check.capability or check.excuse: check.name for check in reversed(CHECKS)}  # the first check
    rows = [row[:2] for row in read_rows("Declaring promises", 3) if row[0] != "in `unsupported`"]
    assert rows == [(f"`{name}`", f"`{proved[name]}`") for name in (*CAPABILITIES, *EXPECTED)]


def test_every_argument_of_conformance_is_documented() -> None:
    assert [row[0] for row in read_rows("In tests", 2)] == mark(tuple(inspect.signature(conformance).parameters))


def test_every_key_of_a_result_is_documented() -> None:
    keys = tuple(field.name for field in dataclasses.fields(Result))
    assert [row[0] for row in read_rows("On the command line", 2)] == mark(keys)


def test_the_shown_output_of_zoo_check_is_real() -> None:
    shown = re.findall(r"<!-- output: zoo (.*?) -->\n```text\n(.*?)```", PAGE, flags=re.DOTALL)
    assert shown
    for command, output in shown:
        assert CliRunner().invoke(cli, shlex.split(command)).output == output
