"""Write the reference of the Python API from the public names of zoo and their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import zoo

TITLE = """# Python API

This page lists all public names of `zoo`, with the text that `help()` shows. The guide on
[Python](../how-to/python.md) has examples.
"""
_SECTION = re.compile(r"(Args|Options|Returns|Raises|Yields|Example|Examples):$")
#: An item of a section: ``name (type): text``.
_ITEM = re.compile(r"(?P<name>[\w*.]+)(?: \((?P<type>.+?)\))?: (?P<text>.*)")


def write_reference() -> str:
    """Return the page in Markdown."""
    return "\n".join([TITLE, *(part for name in zoo.__all__ for part in _document(f"zoo.{name}", getattr(zoo, name)))])


def _document(name: str, value: Any, level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} {name}\n"
    if not isinstance(value, (ModuleType, property)):
        yield f"```python\n{_format_signature(name, value)}\n```\n"
    yield format_docstring(inspect.getdoc(value) or "")
    if dataclasses.is_dataclass(value):
        yield "".join(f"- `{field}`: {text}\n" for field, text in _read_field_comments(value))
    for member in _list_members(value):
        yield from _document(f"{name}.{member}", inspect.getattr_static(value, member), level + 1)


def _list_members(value: Any) -> list[str]:
    """List the public methods and properties of a class, or the functions that a module defines."""
    if isinstance(value, ModuleType):
        return [
            name for name, item in vars(value).items() if _is_public(name, item) and item.__module__ == value.__name__
        ]
    if not inspect.isclass(value) or issubclass(value, BaseException):
        return []
    return [name for name, item in vars(value).items() if _is_public(name, item) and inspect.getdoc(item)]


def _is_public(name: str, item: Any) -> bool:
    is_member = inspect.isfunction(item) or isinstance(item, (property, staticmethod, classmethod))
    return not name.startswith("_") and is_member


def _format_signature(name: str, value: Any) -> str:
    """Return ``name(arguments)`` with one argument per line if it is long."""
    function = getattr(value, "__func__", value)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # an exception class
        return f"class {name}"
    arguments = [
        str(item).replace("'", "") for item in signature.parameters.values() if item.name not in {"self", "cls"}
    ]
    stars = [index for index, item in enumerate(signature.parameters.values()) if item.kind is item.KEYWORD_ONLY]
    shift = len(signature.parameters) - len(arguments)
    if stars and not any(item.kind is item.VAR_POSITIONAL for item in signature.parameters.values()):
        arguments.insert(stars[0] - shift, "*")
    result = "" if inspect.isclass(value) else f" -> {_format_result(signature)}"
    line = f"{name}({', '.join(arguments)}){result}"
    if len(line) <= 80:
        return line
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){result}"


def _format_result(signature: inspect.Signature) -> str:
    result = signature.return_annotation
    return result if isinstance(result, str) else getattr(result, "__name__", str(result))


def _read_field_comments(value: type) -> Iterator[tuple[str, str]]:
    """Return each field with the ``#:`` comment before it."""
    comment: list[str] = []
    for line in inspect.getsource(value).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            comment.append(text.removeprefix("#:").strip())
        elif comment and (found := re.match(r"(\w+):", text)):
            yield found[1], " ".join(comment)
            comment = []


def format_docstring(text: str) -> str:
    """Turn a docstring into Markdown: its sections become headings with lists."""
    parts: list[str] = []
    for block in re.split(r"\n(?=\S+:$)", text, flags=re.MULTILINE):
        first, _, rest = block.partition("\n")
        found = _SECTION.match(first)
        if not found:
            parts.append(block)
        elif found[1].startswith("Example"):
            parts.append(f"```python\n{textwrap.dedent(rest).strip()}\n```")
        else:
            parts.append(f"**{found[1]}**\n\n{_format_items(textwrap.dedent(rest))}")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _format_items(text: str) -> str:
    """Turn the items of a section into a list. Text without items is returned unchanged."""
    items = re.split(r"\n(?=\S)", text.strip())
    if not all(_ITEM.match(item) for item in items):
        return text
    return "\n".join(_format_item(" ".join(line.strip() for line in item.splitlines())) for item in items)


def _format_item(item: str) -> str:
    found = _ITEM.match(item)
    assert found
    kind = f" (`{found['type']}`)" if found["type"] else ""
    return f"- `{found['name']}`{kind}: {found['text']}"
