from __future__ import annotations

import re

import pytest

from zoo import errors

CLASSES = {name: value for name, value in vars(errors).items() if isinstance(value, type)}


def read_tree() -> dict[str, str | None]:
    """Read the parent of each error from the tree in the module's docstring."""
    parents: dict[str, str | None] = {}
    open_branches: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^ {4}([ │├└─]*)([A-Z]\w+)(\s|$)", line):
            depth, name = len(match[1]), match[2]
            open_branches = [(d, n) for d, n in open_branches if d < depth]
            parents[name] = open_branches[-1][1] if open_branches else None
            open_branches.append((depth, name))
    return parents


def test_the_tree_in_the_docstring_is_the_class_tree() -> None:
    drawn = read_tree()
    assert drawn.keys() == CLASSES.keys()
    for name, parent in drawn.items():
        assert CLASSES[name].__base__.__name__ == (parent or "Exception")


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_a_zoo_error_with_a_docstring(name: str) -> None:
    assert issubclass(CLASSES[name], errors.ZooError)
    assert CLASSES[name].__doc__
    assert str(CLASSES[name]("what was asked")) == "what was asked"


def test_a_zoo_error_has_no_base_class_that_click_or_python_catches() -> None:
    assert errors.ZooError.__mro__ == (errors.ZooError, Exception, BaseException, object)
