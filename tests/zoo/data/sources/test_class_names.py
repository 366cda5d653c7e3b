"""Notes about class names that may be a mistake."""

from __future__ import annotations

import pytest

from zoo.data.sources.class_names import list_twins


@pytest.mark.parametrize("names", [("ant", "Ant"), ("fire ant", "fireant"), ("1", "1.0"), ("1", "01"), ("0", "0.00")])
def test_names_that_are_nearly_the_same_get_a_note(names: tuple[str, str]) -> None:
    (note,) = list_twins(("bee", *names))
    assert f"the classes {names[0]!r} and {names[1]!r}" in note


@pytest.mark.parametrize("names", [("1", "2.0"), ("1", "1.5"), ("1", "1a"), ("ant", "ants")])
def test_other_names_get_no_note(names: tuple[str, str]) -> None:
    assert list_twins(names) == []
