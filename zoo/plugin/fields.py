"""What the fields of a spec must be; each check raises PluginError with the field, the value and what is wanted.

A spec is checked where it is made, so the error points into the plugin that made it. Listing checks a plugin's
hundreds of specs: keep the checks cheap.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from zoo.errors import PluginError

NAMESPACE = re.compile(r"[a-z][a-z0-9_-]*")
URL = re.compile(r"https?://[^/]+/.+|hf://[^/]+/[^/]+/.+|file:///.+")

Spec = TypeVar("Spec")

_deferred: ContextVar[bool] = ContextVar("deferred", default=False)


@contextmanager
def checks_deferred() -> Iterator[None]:
    """Let specs be made unchecked.

    For those who name all faults, and not the first one, by checking afterwards; and for a plugin that reads back, at
    every start, a thousand specs that were checked before they were written down.
    """
    token = _deferred.set(True)
    try:
        yield
    finally:
        _deferred.reset(token)


def check_when_made(check: Callable[[Spec], None], spec: Spec) -> None:
    """Check a spec that is being made, unless checks are deferred."""
    if not _deferred.get():
        check(spec)


def refuse(spec: object, field: str, value: object, wanted: str) -> NoReturn:
    """Raise PluginError: the spec, its field, the value, and what the field must be."""
    owner = getattr(spec, "name", None) or getattr(spec, "tag", None)
    called = f" {owner!r}" if isinstance(owner, str) and field not in ("name", "tag") else ""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    raise PluginError(f"{type(spec).__name__}{called} has {field}={shown}; it must be {wanted}.")


def is_text(value: Any) -> bool:
    """Whether a value is text that can be shown: on one line, without control characters, and not blank."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def is_count(value: Any) -> bool:
    """Whether a value is a whole number above zero."""
    return type(value) is int and value > 0


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def are_paths(value: Any) -> bool:
    """Whether a value is a tuple of dotted paths, all of them different."""
    return type(value) is tuple and all(map(is_path, value)) and (len(value) < 2 or len({*value}) == len(value))


def is_path(value: Any) -> bool:
    """Whether a value is a dotted path; no parameter has a space in its name."""
    return is_text(value) and " " not in value


def differ(names: list[str]) -> bool:
    """Whether all names differ; in specs that were not checked yet a name may be anything, even unhashable."""
    return len(names) < 2 or len({*map(repr, names)}) == len(names)


def are_reasons(value: Any) -> bool:
    """Whether a value is a mapping from text to text."""
    return isinstance(value, Mapping) and (not value or all(map(is_text, (*value, *value.values()))))


def are_specs(value: Any, kind: type) -> bool:
    """Whether a value is a tuple of specs of one kind."""
    return isinstance(value, tuple) and all(isinstance(spec, kind) for spec in value)


def matches(pattern: re.Pattern[str], value: Any) -> bool:
    """Whether a value is text that matches a pattern as a whole."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def accepting_licence(kind: type[Spec]) -> type[Spec]:
    """Let a spec take and show its field ``license`` by its old name, ``licence``, too."""
    make = kind.__init__

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **fields: Any) -> None:  # noqa: N807  # a class gets it
        if "licence" in fields:
            if "license" in fields:
                raise TypeError(f"{kind.__name__} got both license and licence, its old name; give license only.")
            fields["license"] = fields.pop("licence")
        make(self, *args, **fields)

    kind.__init__ = __init__  # type: ignore[method-assign]  # as dataclasses does
    kind.licence = property(lambda self: self.license)  # type: ignore[attr-defined]
    return kind
