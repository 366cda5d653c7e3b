"""Read the rows of a table: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from zoo.data.sources.json_record import parse_record
from zoo.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
#: Delimiters of CSV files; programs write semicolons where the comma is the decimal separator.
_DELIMITERS = ",;\t|"

#: First line with which Excel declares the delimiter.
_DECLARATION = re.compile(r"\"?sep=([^\"\s]|\t)\"?\s*", re.IGNORECASE)
#: The cell of a value that is neither text nor a number, such as a list. It is recognized by its identity.
NOT_TEXT = "a value that is neither text nor a number"

#: Number of the row in the file, starting at 1, and its cells. Missing values are empty.
Row = tuple[int, list[str]]


def is_table_name(name: str) -> bool:
    """Return whether a file name has a suffix of a table that :func:`read_rows` can read."""
    return name.lower().endswith(TABLE_SUFFIXES)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table. The first row of JSON lines and Parquet files consists of the column names.

    Raises:
        DataError: If the file cannot be read, or is damaged. The message contains the reason but not the path.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from _read_json(file) if suffix == ".jsonl" else _read_csv(file, tabs=suffix == ".tsv")
    except UnicodeDecodeError as error:
        raise DataError(f"it is not in UTF-8 (byte {error.object[error.start]:#x}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{error.strerror or error}") from error


def _read_csv(lines: Iterable[str], *, tabs: bool) -> Iterator[Row]:
    lines = iter(lines)
    first = next(lines, "")
    if "\0" in first:
        raise DataError("it is not in UTF-8 (it contains zero bytes, like UTF-16); save it as UTF-8")
    declared = _DECLARATION.fullmatch(first)
    delimiter = declared[1] if declared else "\t" if tabs else max(_DELIMITERS, key=first.count)
    skipped = 1 if declared else 0
    reader = csv.reader(lines if declared else itertools.chain([first], lines), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num + skipped, cells
    except csv.Error as error:
        raise DataError(f"line {reader.line_num + skipped}: {error}") from error


def _read_json(file: TextIO) -> Iterator[Row]:
    """Yield the rows of JSON lines. The columns are the keys of all records: later ones may have more keys."""
    names = list(dict.fromkeys(name for _, record in _read_records(file) for name in record))
    if names:
        yield 0, names
    file.seek(0)
    for number, record in _read_records(file):
        yield number, [_to_text(record.get(name)) for name in names]


def _read_records(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = parse_record(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"line {number} is not a JSON object")
        yield number, record


def open_parquet(path: Path) -> Any:
    """Return a `pyarrow.parquet.ParquetFile`.

    Raises:
        DataError: If it is not a Parquet file, or pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError("reading Parquet needs pyarrow; install zoo-backbones[parquet]") from error
    try:
        return parquet.ParquetFile(path)
    except ArrowException as error:
        raise DataError(f"it is not a Parquet file: {error}") from error


def _read_parquet(path: Path) -> Iterator[Row]:
    file = open_parquet(path)
    from pyarrow import ArrowException

    try:
        names = list(file.schema_arrow.names)
        yield 0, names
        number = 0
        for batch in file.iter_batches(batch_size=2**16):
            columns = [batch.column(index).to_pylist() for index in range(len(names))]
            for values in zip(*columns, strict=True):
                number += 1
                yield number, [_to_text(value) for value in values]
    except ArrowException as error:
        raise DataError(f"it is not a Parquet file: {error}") from error


def _to_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas writes NaN for a missing value
        return ""
    return str(value) if isinstance(value, (str, int, float)) else NOT_TEXT
