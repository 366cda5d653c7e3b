"""Every text in zoo's code that a user may read: messages, help texts, and the descriptions of checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
#: Texts with fewer words are names, keys and formats.
LEAST_WORDS = 3


def list_messages(folder: Path = ROOT / "zoo") -> str:
    """List the texts of all modules, one per line, below the path of their module."""
    sections = []
    for path in sorted(folder.rglob("*.py")):
        texts = sorted({*_list_texts(ast.parse(path.read_text(encoding="utf-8")))})
        if texts:
            sections.append("\n".join([path.relative_to(folder.parent).as_posix(), *(f"    {text}" for text in texts)]))
    return "\n\n".join(sections) + "\n"


def _list_texts(tree: ast.AST) -> Iterator[str]:
    """Yield the string literals that are neither docstrings nor parts of another; values appear as ``{expression}``."""
    if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant):
        return  # a docstring
    if isinstance(tree, (ast.JoinedStr, ast.Constant)):
        text = " ".join(_render(tree).split())
        if len(text.split(" ")) >= LEAST_WORDS:
            yield text
        return
    for child in ast.iter_child_nodes(tree):
        yield from _list_texts(child)


def _render(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_render, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return "".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in text)


if __name__ == "__main__":
    print(list_messages(), end="")  # noqa: T201  # a script
