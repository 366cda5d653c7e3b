"""The page about pairs of options is complete, and each of its rows names a test that exists."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from option_values import PAIRS, VALUES
from zoo.registry.recipe import Recipe

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "option-pairs.md").read_text(encoding="utf-8")
#: Both options of each row, its meaning, and its test.
ROWS = re.findall(r"^\| `([^`]+)` \+ `([^`]+)` \| (.+) \| (.+) \|$", PAGE, flags=re.MULTILINE)
#: Options that do not change the weights of a run in one process, or that the reference loop cannot follow.
NOT_COMPARED = {
    "weights", "head", "device", "workers", "cache", "baseline", "precision", "compile", "save_every", "shard",
    "sync_batch_norm", "label_from", "columns", "split", "fold", "resize", "image_size", "channels", "mean", "std",
}  # fmt: skip


@pytest.fixture(scope="module")
def tests() -> set[str]:
    """Names of all tests."""
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)}


def test_every_row_is_read() -> None:
    assert len(ROWS) == len(re.findall(r"^\| `", PAGE, flags=re.MULTILINE)) > 50


@pytest.mark.parametrize(("one", "two", "test"), [(one, two, test) for one, two, _, test in ROWS])
def test_each_row_names_a_test_that_exists(one: str, two: str, test: str, tests: set[str]) -> None:
    if test == "reference":
        assert (one, two) in PAIRS or (two, one) in PAIRS
    else:
        assert test.strip("`") in tests


def test_other_names_of_tests_on_the_page_exist(tests: set[str]) -> None:
    assert set(re.findall(r"\btest_\w+", PAGE)) <= tests


def test_no_pair_is_listed_twice() -> None:
    pairs = [frozenset((one, two)) for one, two, _, _ in ROWS]
    assert len(pairs) == len(set(pairs))


def test_every_option_is_in_a_row() -> None:
    listed = {name.partition("=")[0] for one, two, _, _ in ROWS for name in (one, two)}
    assert {field.name for field in dataclasses.fields(Recipe)} <= listed


def test_every_option_that_changes_the_weights_is_compared_with_the_reference() -> None:
    compared = {option for values in VALUES.values() for option in values}
    assert compared | NOT_COMPARED == {field.name for field in dataclasses.fields(Recipe)}
