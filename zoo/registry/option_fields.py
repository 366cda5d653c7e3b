"""Dataclass fields for options: each has a default and a check of its value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from typing import Any

from zoo.errors import OptionError

#: Function that receives the name and the value of an option, and raises OptionError if the value is invalid.
Check = Callable[[str, Any], None]

#: Largest integer that torch accepts as a seed or a count.
LARGEST = 2**63 - 1
#: Smallest number above 0. Smaller ones may become 0 in fp32, or be refused by torch only after the run has started.
SMALLEST = 1e-12


def one_of(default: str | None, choices: Sequence[str]) -> Any:
    """Return a field for one of several choices. None is valid only if it is the default."""

    def check(name: str, value: Any) -> None:
        if value not in choices:
            raise OptionError(f"unknown {name} {value!r}; choose from {', '.join(choices)}.")

    return _field(default, check, choices=choices)


def count(default: int | None, least: int = 1, most: int = LARGEST) -> Any:
    """Return a field for an integer between ``least`` and ``most``. None is valid only if it is the default."""

    def check(name: str, value: Any) -> None:
        if type(value) is not int:
            raise OptionError(f"{name} must be a whole number, got {value!r}.")
        if not least <= value <= most:
            limit = f"least {least}" if value < least else f"most {'2**63 - 1' if most == LARGEST else most}"
            raise OptionError(f"{name} must be at {limit}, got {value}.")

    return _field(default, check, least=least)


def number(default: float | None, most: float) -> Any:
    """Return a field for a float that is 0, or between `SMALLEST` and ``most``. None is valid only as the default."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            raise OptionError(f"{name} must be a number between 0 and {most:g}, got {value!r}.")
        if 0 < value < SMALLEST:
            raise OptionError(f"{name} must be 0 or at least {SMALLEST:g}, got {value!r}.")

    return _field(default, check, most=most, convert=float)


def switch(*, default: bool) -> Any:
    """Return a field for true or false."""

    def check(name: str, value: Any) -> None:
        if type(value) is not bool:
            raise OptionError(f"{name} must be true or false, got {value!r}.")

    return _field(default, check)


def text(default: str | None) -> Any:
    """Return a field for a string that is not empty. None is valid only if it is the default."""
    return _field(default, _check_text)


def path(default: str | None) -> Any:
    """Return a field for a string or a path, which is converted to a string."""
    return _field(default, lambda name, value: _check_text(name, _read_path(value)), convert=_read_path)


def numbers(default: str | None) -> Any:
    """Return a field for numbers separated by commas. A number or a sequence of them becomes such a string."""
    return _field(default, lambda name, value: _check_text(name, _join(value)), convert=_join)


def check_fields(options: Any) -> None:
    """Check all fields of a dataclass of options, and convert values such as whole numbers to the field's type.

    Raises:
        OptionError: If a value is invalid.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is not None or field.default is not None:
            field.metadata["check"](field.name, value)
            if value is not None and "convert" in field.metadata:  # Libraries that need a float may refuse the int 1.
                object.__setattr__(options, field.name, field.metadata["convert"](value))


def _field(default: Any, check: Check, **limits: Any) -> Any:
    return dataclasses.field(default=default, metadata={"check": check, **limits})


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise OptionError(f"{name} must be a string, got {value!r}.")
    if not value:
        raise OptionError(f"{name} is empty; omit it or set it to a value.")


def _read_path(value: Any) -> Any:
    return fspath(value) if isinstance(value, PathLike) else value


def _join(value: Any) -> Any:
    """Return a number or a sequence of numbers as a string."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return ",".join(map(str, value))
    return str(value) if type(value) in (int, float) else value
