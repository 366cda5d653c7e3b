"""The order in which names are shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo.progress.order import sort_names


def test_numbers_are_sorted_by_value_and_letters_without_regard_to_case() -> None:
    names = ["10", "9", "class 10", "Class 2", "b", "a", "x1y10", "x1y9", ""]
    assert sort_names(names) == ["", "9", "10", "a", "b", "Class 2", "class 10", "x1y9", "x1y10"]


def test_numbers_of_any_length_have_an_order() -> None:
    long = "9" * 5000  # int refuses a number of this length
    assert sort_names([long, "1"]) == ["1", long]


@given(st.lists(st.text(alphabet="aA0129 \u0663é"), max_size=8))
def test_the_order_depends_only_on_the_names(names: list[str]) -> None:
    assert sort_names(names[::-1]) == sort_names(names)
    assert sorted(sort_names(names)) == sorted(names)
