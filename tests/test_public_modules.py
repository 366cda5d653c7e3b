"""The plugins of this repository use what every author can use: the documented names of zoo's public modules."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(ROOT.glob("plugins/*/src/**/*.py"))
#: The modules that plugins may import. `zoo` itself is for scripts, such as one that trains weights.
PUBLIC = ("zoo", "zoo.plugin", "zoo.testing")


def list_imports(source: str) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import of zoo, also those inside functions and for types."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "zoo")
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == "zoo":
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT / "plugins").as_posix())
def test_a_plugin_imports_only_public_names(module: Path) -> None:
    imports = [*list_imports(module.read_text(encoding="utf-8"))]
    assert [
        f"{source}.{name}"
        for source, name in imports
        if source not in PUBLIC or (name and name not in importlib.import_module(source).__all__)
    ] == []


@pytest.mark.parametrize("source", ["zoo.plugin", "zoo.testing"])
def test_public_names_exist_and_are_documented(source: str) -> None:
    module = importlib.import_module(source)
    pages = "".join((ROOT / "docs/reference" / page).read_text("utf-8") for page in ("plugins.md", "conformance.md"))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert [name for name in module.__all__ if not re.search(rf"`{name}\b", pages)] == []


def test_imports_inside_functions_are_found() -> None:
    code = "def build():\n    from zoo.models.build import build\n    import zoo.errors\n    from . import zoo\n"
    assert [*list_imports(code)] == [("zoo.models.build", "build"), ("zoo.errors", "")]
