"""Imports point only down: import-linter checks the layers in pyproject.toml, which contain every module."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "zoo"
LINT = "import sys\nfrom importlinter.cli import lint_imports\nsys.exit(lint_imports(no_cache=True))"

#: Packages that the core must not import; it only uses them through plugins.
UPSTREAM = (
    "timm", "torchvision.models", "transformers", "tensorboard", "torch.utils.tensorboard",
    "zoo_torchvision", "zoo_timm", "zoo_tiny", "zoo_tensorboard", "zoo_transformers",
)  # fmt: skip


def read_layers() -> list[list[str]]:
    """Return the modules of each layer, from the highest to the lowest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [[name.strip(" ()") for name in layer.replace("|", ":").split(":")] for layer in layers]


def list_modules() -> set[str]:
    """List the modules and packages directly in zoo."""
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    return {f"zoo.{name}" for name in files | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}}


def name_module(path: Path) -> str:
    """Return the dotted name of a module of zoo."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def list_imports(path: Path) -> set[str]:
    """List what a file imports, at the top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_imports_point_only_down() -> None:
    pytest.importorskip("importlinter")
    result = subprocess.run(
        [sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_is_in_a_layer() -> None:
    assert list_modules() - {name for layer in read_layers() for name in layer} == set()


def test_layers_name_existing_modules_once() -> None:
    named = [name for layer in read_layers() for name in layer]
    assert len(set(named)) == len(named)
    assert set(named) - list_modules() == set()


def test_the_command_line_is_the_top_layer_and_errors_the_bottom_one() -> None:
    assert "zoo.cli" in read_layers()[0]
    assert read_layers()[-1] == ["zoo.errors", "zoo.progress"]


def test_the_package_has_few_modules() -> None:
    assert len(list_modules()) <= 12


def test_there_are_no_import_cycles() -> None:
    paths = {name_module(path): path for path in PACKAGE.rglob("*.py") if "template" not in path.parts}
    graph = {name: list_imports(path) & paths.keys() - {name} for name, path in paths.items()}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


#: The files for the formats of timm and transformers, which compare an export with upstream itself, and what they
#: import within functions.
FORMATS = {
    "zoo/runs/export/in_runtime.py": {"timm", "timm.data", "transformers"},
    "zoo/runs/export/timm_folder.py": {"timm"},
}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_no_upstream_and_no_plugin(path: Path) -> None:
    refused = {name for name in list_imports(path) for banned in UPSTREAM if f"{name}.".startswith(f"{banned}.")}
    assert refused - FORMATS.get(path.relative_to(ROOT).as_posix(), set()) == set()
