"""The words for train, val and test."""

from __future__ import annotations

import pytest

from zoo.data.split_names import WORDS, find_split, find_split_in


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("shape", ["{}", "{}_set", "{}-data", "{} images", "{}set", "images_{}", "{}1", "2_{}"])
def test_every_word_names_its_split_in_any_spelling(word: str, shape: str) -> None:
    for spelled in (word, word.upper(), word.title()):
        assert find_split(shape.format(spelled)) == WORDS[word]


@pytest.mark.parametrize(
    "name", ["", "ants", "trains", "restrain", "validate", "testament", "train_test", "seg_train", "set"]
)
def test_other_names_are_not_splits(name: str) -> None:
    assert find_split(name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seg_train", ("train", "seg")),
        ("segTest", ("test", "seg")),
        ("cars-valid-2", ("val", "cars")),
        ("testA", ("test", "a")),
        ("train_val", None),
        ("ants", None),
    ],
)
def test_a_split_is_found_among_other_words(name: str, expected: tuple[str, str] | None) -> None:
    assert find_split_in(name) == expected
