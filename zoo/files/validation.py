"""Validation of parsed files against the types in `zoo.files.schema`."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from zoo.files.paths import read_file

T = TypeVar("T")

#: Maximum size of a TOML file in bytes, and maximum number of dots in one of its lines. The time and the memory that
#: tomllib needs for a key such as ``a.b.c`` grow with the square of the number of its parts.
MAX_TOML, MAX_DOTS = 2**18, 100


class Invalid(ValueError):
    """The content of a file does not have the declared type. The message says where, and what was expected."""


def parse_json(text: str | bytes, kind: type[T]) -> T:
    """Parse JSON and validate it against a type.

    Raises:
        Invalid: If the text is not JSON or does not have the type.
    """
    return check(_parse(text), kind)


def parse_fields(fields: Mapping[str, str], kind: type[T]) -> T:
    """Parse the values of a mapping, each of which is JSON text, and validate the result against a type.

    Raises:
        Invalid: If a value is not JSON or does not have the type.
    """
    return check({name: _parse(fields[name]) for name in fields.keys() & kind.__annotations__.keys()}, kind)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError: If it cannot be read, or is not a file.
        Invalid: If it is not TOML in UTF-8, is too large, is nested too deeply, or has a number that is not finite.
    """
    content = read_file(path, MAX_TOML + 1)
    if len(content) > MAX_TOML:
        raise Invalid(f"it is larger than {MAX_TOML // 1024} KiB")
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.count(b".") > MAX_DOTS:
            raise Invalid(f"line {number} has more than {MAX_DOTS} dots")
    try:
        return tomllib.loads(content.decode("utf-8"), parse_float=_parse_float)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise Invalid(_describe(error)) from error


def check(value: Any, kind: type[T]) -> T:
    """Validate a parsed value and return it unchanged, including fields that are not listed.

    Raises:
        Invalid: If it does not have the type.
    """
    try:
        msgspec.convert(value, type=kind)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as error:
        raise Invalid(_describe(error)) from error
    return cast("T", value)


def _parse(text: str | bytes) -> Any:
    try:
        # msgspec's own parser rejects lone surrogates, which file names and class names can contain.
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid(_describe(error)) from error


def _parse_float(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _describe(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
