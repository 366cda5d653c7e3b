"""The options of a run, merged from flags, ``--set`` and ``--config``."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from zoo.errors import OptionError, SettingsError, ZooError
from zoo.files.paths import expand_user
from zoo.files.validation import Invalid, read_toml
from zoo.registry.recipe import Recipe
from zoo.registry.spelling import describe_unknown


def gather_options(config: str | None, assignments: Iterable[str], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options of a run. Flags take precedence over ``--set``, and ``--set`` over ``--config``.

    Args:
        config: Path of the ``--config`` file.
        assignments: Values of ``--set``, such as ``mixup=0.2``.
        flags: Values of the flags by name; None for a flag that was not given.

    Raises:
        OptionError: If ``--set`` names an unknown option.
        SettingsError: If the file cannot be read or names an unknown option.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    return {**(_read_config(expand_user(config)) if config else {}), **_read_assignments(assignments), **given}


def _read_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.replace("-", "_").isidentifier():
            raise click.UsageError(f"--set needs NAME=VALUE, got {assignment!r}.")
        options[name.replace("-", "_")] = _read_value(value)
    _refuse_unknown(options, "--set", OptionError)
    return options


def _read_value(text: str) -> Any:
    """Parse a number or a boolean as in TOML; return anything else as a string."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # TOMLDecodeError, or an integer with too many digits
        return text
    return table["value"] if len(table) == 1 else text


def _read_config(path: Path) -> dict[str, Any]:
    try:
        options = read_toml(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Invalid as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    options = {name.replace("-", "_"): value for name, value in options.items()}
    _refuse_unknown(options, str(path), SettingsError)
    return options


def _refuse_unknown(options: Iterable[str], source: str, error: type[ZooError]) -> None:
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in options:
        if name not in known:
            raise error(f"{source}: {describe_unknown(name, known)}")
