"""Objects that training scripts often save besides tensors, and what zoo loads in their place.

No constructor that a file names is called and no module is imported, because zoo needs only the tensors. The
containers become plain lists and dicts, so that tensors in them are found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

#: Classes and functions, by module, whose results become an `Omitted`.
_OMITTED = {
    # Some of these types are also common as the default_factory of a defaultdict.
    "builtins": ("bool", "dict", "float", "frozenset", "int", "list", "range", "slice", "str", "tuple"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "numpy": ("dtype", "ndarray"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),  # numpy 2
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "pathlib._local": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),  # 3.13
    "uuid": ("UUID",),
}


class Omitted:
    """An object in place of one that is not loaded. It accepts any arguments and any state, and keeps neither."""

    def __init__(self, *_arguments: Any) -> None:
        """Discard the arguments."""

    def __setstate__(self, _state: Any) -> None:
        """Discard the state."""


def _make_list(items: Iterable[Any] = (), _most: int | None = None) -> list[Any]:
    return list(items)


def _make_dict(_default: Any = None) -> dict[Any, Any]:
    return {}


#: Callables that torch.load may call. Most of them are registered under the name of the class that they replace.
#: argparse.Namespace, in which many training scripts save their options, runs no code when it is loaded.
HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    (_make_dict, "collections.defaultdict"),
    (_make_list, "collections.deque"),
    *((Omitted, f"{module}.{name}") for module, names in _OMITTED.items() for name in names),
]
