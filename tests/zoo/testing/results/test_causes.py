"""Which results have the same cause."""

from __future__ import annotations

import pytest

from zoo.testing.results.causes import find_cause, group_by_cause
from zoo.testing.results.result import Result, Status


def make(name: str, reason: str, check: str = "build.meta", status: Status = "fail") -> Result:
    return Result(f"acme/{name}", check, status, reason)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (make("a", "acme/a cannot be built"), make("b", "acme/b cannot be built"), True),
        (make("a", "it has 3 layers"), make("b", "it has 4 layers"), False),
        (make("a", "KeyError: 'a' (/x/nets.py:3)."), make("b", "KeyError: 'b' (/x/nets.py:3)."), True),
        (make("a", "KeyError: 'a' (/x/nets.py:3)."), make("b", "KeyError: 'a' (/x/nets.py:4)."), False),
        (make("a", "size 512 (/x/nets.py:3)."), make("b", "size 1,024 (/x/nets.py:3)."), True),
        (make("a", "why (/x/nets.py:3)."), make("b", "why not (/x/nets.py:3)."), False),
        (make("a", "why (/x/nets.py:3)."), make("b", "why (/x/nets.py:3).", "build.clean"), False),
        (make("a", "why (/x/nets.py:3)."), make("b", "why (/x/nets.py:3).", status="error"), False),
        (
            make("a", "declare 3 (/x/nets.py:3).", "build.params"),
            make("b", "declare 4 (/x/nets.py:3).", "build.params"),
            False,
        ),
    ],
)
def test_results_have_the_same_cause(one: Result, other: Result, *, same: bool) -> None:
    assert (find_cause(one) == find_cause(other)) is same


def test_groups_are_in_the_order_of_their_first_results() -> None:
    first, second, third = make("a", "one"), make("a", "two"), make("b", "one")
    assert group_by_cause([first, second, third]) == [[first, third], [second]]
