"""Paths of images that a command reads from stdin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from zoo.errors import DataError


def insert_stdin(arguments: Sequence[str]) -> list[str]:
    """Replace the argument ``-`` with the paths on stdin: one per line, or separated by NULs if there are any.

    Raises:
        DataError: If there are no paths, or ``-`` occurs twice.
    """
    if arguments.count("-") > 1:
        raise DataError("stdin can be read only once; pass - once.")
    return [path for argument in arguments for path in (_read_paths() if argument == "-" else (argument,))]


def _read_paths() -> Iterator[str]:
    data = b"" if sys.stdin is None else sys.stdin.buffer.read()  # None if the shell closed it
    lines = data.split(b"\0") if b"\0" in data else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    paths = [os.fsdecode(line) for line in lines if line]
    if not paths:
        raise DataError("there are no paths on stdin, which - stands for; pass paths or a folder.")
    yield from paths
