"""Checks for the fields of a spec. A failed check raises PluginError with the field, its value and the valid values.

A spec is checked when it is created, so the traceback points to the plugin code that created it. Hundreds of specs are
checked when backbones are listed, so the checks must be cheap.
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
from zoo.plugin.made_specs import find_record, record_unusable

NAMESPACE = re.compile(r"[a-z][a-z0-9_-]*")
URL = re.compile(r"https?://[^/]+/.+|hf://[^/]+/[^/]+/.+|file:///.+")

Spec = TypeVar("Spec")

_deferred: ContextVar[bool] = ContextVar("deferred", default=False)


@contextmanager
def checks_deferred() -> Iterator[None]:
    """Create specs without checking them.

    A plugin can use this to load a large catalog of specs that were checked when the catalog was generated, which
    nearly halves the loading time. Do not ``yield`` inside the block: specs that the caller creates in the meantime
    would not be checked either. ``zoo check`` checks such specs in any case.

    Example:
        with checks_deferred():
            specs = [BackboneSpec(**fields) for fields in json.loads(catalog)]
    """
    token = _deferred.set(True)
    try:
        yield
    finally:
        _deferred.reset(token)


def check_when_made(check: Callable[[Spec], None], spec: Spec) -> None:
    """Check a spec that is being created, unless checks are deferred.

    While a plugin is loading, a fault is recorded instead of raised; see `zoo.plugin.made_specs`.
    """
    made, is_deferred = find_record(), _deferred.get()
    if made is None:
        if not is_deferred:
            check(spec)
        return
    try:
        if not is_deferred:
            check(spec)
    except PluginError as fault:
        made.add(spec, fault)
    else:
        if made.with_places:
            made.add(spec, None)


def require(spec: object, *requirements: tuple[str, bool, str]) -> None:
    """Check requirements on the fields of a spec.

    Args:
        spec: The spec.
        requirements: Tuples of a field's name, whether its value is valid, and a description of the valid values.

    Raises:
        PluginError: If a value is not valid.
    """
    for field, is_valid, wanted in requirements:
        if not is_valid:
            refuse(spec, field, getattr(spec, field), wanted)


def refuse(spec: object, field: str, value: object, wanted: str) -> NoReturn:
    """Raise PluginError for the value of a field, with a description of the valid values."""
    owner = getattr(spec, "name", None) or getattr(spec, "tag", None)
    called = f" {owner!r}" if isinstance(owner, str) and field not in ("name", "tag") else ""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    raise PluginError(f"{type(spec).__name__}{called} has {field}={shown}; it must be {wanted}.")


def is_text(value: Any) -> bool:
    """Return whether a value is a printable string on one line that is not blank."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def is_count(value: Any) -> bool:
    """Return whether a value is an integer above zero."""
    return type(value) is int and value > 0


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def are_paths(value: Any) -> bool:
    """Return whether a value is a tuple of distinct dotted paths."""
    return type(value) is tuple and all(map(is_path, value)) and len({*value}) == len(value)


def is_path(value: Any) -> bool:
    """Return whether a value is a dotted path, which contains no spaces."""
    return is_text(value) and " " not in value


def are_distinct(names: list[str]) -> bool:
    """Return whether all names are distinct. If their specs were not checked, the names can be of any type."""
    return len(set(map(repr, names))) == len(names)


def are_reasons(value: Any) -> bool:
    """Return whether a value is a mapping from strings to strings."""
    return isinstance(value, Mapping) and all(map(is_text, (*value, *value.values())))


def are_specs(value: Any, kind: type) -> bool:
    """Return whether a value is a tuple of specs of one kind."""
    # A list comprehension is faster than a generator, which costs a call for each item.
    return isinstance(value, tuple) and not [spec for spec in value if not isinstance(spec, kind)]


def matches(pattern: re.Pattern[str], value: Any) -> bool:
    """Return whether a value is a string that matches a pattern in full."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def accepting_licence(kind: type[Spec]) -> type[Spec]:
    """Accept ``licence``, the name of the ``license`` field in version 0.1, as a keyword and as an attribute."""
    make = kind.__init__

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **fields: Any) -> None:  # noqa: N807  # it becomes the class's method
        if "licence" in fields:
            if "license" in fields:
                raise TypeError(f"{kind.__name__} got both license and licence, its old name; pass license only.")
            fields["license"] = fields.pop("licence")
        try:
            make(self, *args, **fields)
        except TypeError as error:
            if not record_unusable(self, fields, error):
                raise

    kind.__init__ = __init__  # type: ignore[method-assign]  # dataclasses sets it in the same way
    kind.licence = property(lambda self: self.license)  # type: ignore[attr-defined]
    return kind
