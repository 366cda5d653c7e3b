from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect

import pytest

import zoo


def test_every_public_name_has_a_module_and_vice_versa() -> None:
    assert set(zoo.__all__) == {*zoo._HOMES, *zoo._MODULES}
    assert list(zoo.__all__) == sorted(zoo.__all__)


@pytest.mark.parametrize("name", zoo._HOMES)
def test_every_public_name_is_the_object_in_its_module(name: str) -> None:
    value = getattr(zoo, name)
    assert value is getattr(importlib.import_module(zoo._HOMES[name]), name)
    assert value.__module__ == zoo._HOMES[name]
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", zoo._MODULES)
def test_a_public_module_is_imported_when_it_is_used(name: str) -> None:
    assert getattr(zoo, name) is importlib.import_module(zoo._MODULES[name])


def test_the_imports_for_type_checkers_match() -> None:
    tree = ast.parse(inspect.getsource(zoo))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}
    modules = {name: f"{homes.pop(name)}.{name}" for name in zoo._MODULES}
    assert (homes, modules) == (zoo._HOMES, zoo._MODULES)


def test_dir_lists_the_public_names() -> None:
    assert set(zoo.__all__) <= set(dir(zoo))
    assert dir(zoo) == sorted(dir(zoo))


def test_no_public_name_hides_a_module_of_zoo() -> None:
    for name in zoo.__all__:
        assert importlib.util.find_spec(f"zoo.{name}") is None


def test_a_name_is_imported_once() -> None:
    vars(zoo).pop("Recipe", None)
    first = zoo.Recipe
    assert vars(zoo)["Recipe"] is first


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(zoo, "finetun")
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'finetun'"):
        _ = zoo.finetun


def test_the_docstring_shows_only_public_names() -> None:
    shown = {
        node.attr
        for line in (zoo.__doc__ or "").splitlines()
        if line.startswith("    ")
        for node in ast.walk(ast.parse(line.strip()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "zoo"
    }
    assert shown
    assert shown <= set(zoo.__all__)
