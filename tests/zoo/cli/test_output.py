from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.cli.output import format_count, format_table, print_csv, print_json

CELLS = st.text("abc0189-_/.", min_size=1, max_size=9)


def test_text_is_aligned_left_and_numbers_right() -> None:
    rows = [("NAME", "PARAMS", "TAG"), ("a/long-name", "1.0M", "V1"), ("b", "138.4M", "")]
    assert format_table(rows, right=(1,)) == [
        "NAME         PARAMS  TAG",
        "a/long-name    1.0M  V1",
        "b            138.4M",
    ]


def test_a_table_with_titles_only_is_one_line() -> None:
    assert format_table([("NAME", "TAG")]) == ["NAME  TAG"]


def test_cells_are_aligned_after_they_are_escaped() -> None:
    assert format_table([("NAME", "N"), ("\x1b\n", "1")]) == ["NAME    N", "\\x1b\\n  1"]


def test_numbers_that_are_not_finite_are_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rates": [float("nan"), float("inf"), -float("inf"), 0.5], "name": "NaN"})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "rates": [None, None, None, 0.5],
        "name": "NaN",
    }


def test_texts_in_csv_are_escaped_and_numbers_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv([("path", "loss"), ("=a,b", -0.5)])
    assert capsys.readouterr().out == 'path,loss\n"\'=a,b",-0.5\n'


def test_rows_of_different_lengths_are_an_internal_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        format_table([("a", "b"), ("c",)])


@given(
    rows=st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(*[CELLS] * n), min_size=1, max_size=6)), data=st.data()
)
@settings(deadline=None)
def test_every_cell_is_in_its_column(rows: list[tuple[str, ...]], data: st.DataObject) -> None:
    count = len(rows[0])
    right = data.draw(st.sets(st.integers(0, count - 1)))
    lines = format_table(rows, right=tuple(right))
    assert [line.split() for line in lines] == [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line, row in zip(lines, rows, strict=True):
        assert line == line.rstrip()
        start = 0
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            shown = line[start : start + width].ljust(width)
            assert shown == (cell.rjust(width) if index in right else cell.ljust(width))
            start += width + 2


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (2374, "2.4k"), (11_689_512, "11.7M"), (138_357_544, "138.4M"),
     (999_949, "999.9k"), (999_950, "1.0M"), (999_999_999, "1.0G"), (1_000_000_000, "1.0G"), (2_500_000_000, "2.5G"),
     (999_960_000_000, "1000.0G")],
)  # fmt: skip
def test_a_count_is_shortened(count: int, text: str) -> None:
    assert format_count(count) == text
