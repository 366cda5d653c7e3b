"""Common words for train, val and test."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Maps each lowercase word to the split that it names.
WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
#: Words beside a split's word that do not change its meaning, as in ``train_set`` or ``test images``.
_FILLERS = ("set", "data", "dataset", "split", "images", "imgs", "photos", "pictures")
_WORD = "|".join(sorted(WORDS, key=len, reverse=True))
_FILLER = "|".join(sorted(_FILLERS, key=len, reverse=True))
#: A split's word with at most one filler before or after it. ``trainset`` is one word.
_SPLIT_NAME = re.compile(rf"(?:(?:{_FILLER}) ?)?({_WORD})(?: ?(?:{_FILLER}))?")


def find_split(name: str) -> str | None:
    """Return the split that a name refers to, such as ``train`` for ``Training_Set``; None if it is not a split."""
    match = _SPLIT_NAME.fullmatch(" ".join(_list_words(name)))
    return WORDS[match.group(1)] if match else None


def find_split_in(name: str) -> tuple[str, str] | None:
    """Find a split's word among other words, as in ``seg_train``.

    Returns:
        The split, and the name without the split's word; None if the name contains no such word, or several.
    """
    words = _list_words(name)
    found = [word for word in words if word in WORDS]
    if len(found) != 1:
        return None
    return WORDS[found[0]], " ".join(word for word in words if word != found[0])


def count_splits(name: str) -> int:
    """Return how many different splits a name contains, such as 2 for ``train-dev-00``."""
    return len({WORDS[word] for word in _list_words(name) if word in WORDS})


def find_split_of_file(stem: str) -> str | None:
    """Return the split that the name of a file contains, as in ``imagenet-validation-07``, without its suffix."""
    if split := find_split(stem):
        return split
    found = find_split_in(stem)
    return found[0] if found else None


def is_family(found: Iterable[tuple[str, str]]) -> bool:
    """Return whether two names in which splits were found differ only in the split, as ``seg_train`` and ``seg_test``.

    Args:
        found: Results of `find_split_in`.
    """
    names = set(found)
    return len({rest for _, rest in names}) < len(names)


def _list_words(name: str) -> list[str]:
    """Return the words of a name in lowercase: ``seg_Train2`` and ``segTrain`` contain the words seg and train."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.lower())
