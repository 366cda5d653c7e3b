"""Whether a function of a plugin takes the arguments that zoo passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable


def find_call_fault(function: Callable[..., object], *arguments: str) -> str:
    """Return why a function cannot be called with positional arguments of these names, or an empty string."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is async, but zoo calls it like any other function; write `def`"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function in C without a signature
        return ""
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return f"is called with ({', '.join(arguments)}), but takes {signature}: {error}"
    return ""
