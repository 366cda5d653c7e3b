"""Validation of parsed files against the types in `zoo.files.schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")


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


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _describe(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
