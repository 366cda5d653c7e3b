"""The code that builds a backbone's network without zoo: an expression, or lines that assign ``model``."""

from __future__ import annotations

import re
from typing import Any

from zoo.plugin.fields import matches

_EXPRESSION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\(([^{}\n]*\{(num_classes|image_size)\})*[^{}\n]*\)")
_ASSIGNS_MODEL = re.compile(r"^model *(:[^=]*)?=(?!=)", re.MULTILINE)
#: Maximum length of the lines, so that a model card stays readable.
_MOST = 4000


def is_constructor(value: Any) -> bool:
    """Return whether a value is an expression ``module.name(...)``, or lines of code that assign ``model``."""
    if matches(_EXPRESSION, value):
        return True
    if not isinstance(value, str) or "\n" not in value or len(value) > _MOST or "```" in value:
        return False
    return all(map(str.isprintable, value.split("\n"))) and _ASSIGNS_MODEL.search(value) is not None


def list_lines(constructor: str, num_classes: int, image_size: int) -> list[str]:
    """Return the lines of Python that build the network and assign it to ``model``.

    An expression is preceded by the import of its module: everything before the function or the class that it calls.

    Args:
        constructor: A valid constructor.
        num_classes: Number of outputs of the network.
        image_size: Height and width of its input in pixels.
    """
    code = constructor.replace("{num_classes}", str(num_classes)).replace("{image_size}", str(image_size))
    if "\n" in constructor:
        return code.strip("\n").split("\n")
    return [f"import {_find_module(code)}", f"model = {code}"]


def _find_module(expression: str) -> str:
    """Return the module of the call ``module.name(...)`` or ``module.Class.name(...)``."""
    names = expression.partition("(")[0].split(".")[:-1]
    classes = [index for index, name in enumerate(names) if index and name[:1].isupper()]
    return ".".join(names[: classes[0]] if classes else names)
