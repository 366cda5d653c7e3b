"""Only a few modules use stdout and stderr; all others escape text with zoo/progress/printable.py."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The modules that print, or redirect the streams, and why they do not need the functions of zoo.cli.streams.
ALLOWED = {
    "zoo/cli/streams.py": "prints",
    "zoo/cli/process.py": "redirects stdout and flushes",
    "zoo/data/sources/torchvision_data.py": "redirects stdout",
    "zoo/models/weights/converting.py": "redirects stdout",
    "zoo/progress/__init__.py": "prints",
    "zoo/progress/printable.py": "sets how errors of the encoding are handled",
    "zoo/registry/plugins/exit_guard.py": "prints before the process ends at once",
    "zoo/registry/plugins/load.py": "redirects stdout",
    "zoo/testing/isolation/import_probe.py": "closes the streams of a separate process",
    "zoo/testing/results/markdown_page.py": "prints a page in which all values are escaped",
}


#: The names with which a module could print.
PRINTING = {"print", "sys.stdout", "sys.stderr", "click.echo", "click.secho"}


def find_printing(tree: ast.AST) -> set[str]:
    """Return the names in a module with which it could print."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Name):
            found.add(node.id)
    return found & PRINTING


def test_only_the_listed_modules_use_the_streams() -> None:
    using = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "zoo").rglob("*.py")
        if find_printing(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert using == set(ALLOWED)


def test_every_way_to_print_is_found() -> None:
    lines = ("print(1)", "click.echo(1)", "sys.stdout.write('1')", "writer(sys.stderr)", "from sys import stdout")
    assert all(find_printing(ast.parse(line)) for line in lines)
    assert not find_printing(ast.parse("print_lines('1')"))
