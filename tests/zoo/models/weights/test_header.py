"""Headers of model files from elsewhere."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from acme import INPUT
from zoo.files.validation import Invalid
from zoo.models.weights.header import Header


def make_metadata(changed: dict[str, Any], classes: tuple[str, ...] = ("ant", "bee")) -> dict[str, str]:
    header = Header("acme/net", None, "linear", classes, INPUT, "none", "none")
    return {**header.to_metadata(), "input": json.dumps({**asdict(INPUT), **changed})}


@pytest.mark.parametrize(
    "changed",
    [{"size": [3, 100_000, 100_000]}, {"size": [3, 32, 4097]}, {"resize": 10**9}, {"resize": 16_385}],
    ids=str,
)
def test_an_input_that_would_need_too_much_memory_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="has a damaged header"):
        Header.from_metadata(make_metadata(changed))


@pytest.mark.parametrize("changed", [{}, {"size": [3, 4096, 4096]}, {"resize": 16_384}], ids=str)
def test_the_largest_input_is_accepted(changed: dict[str, Any]) -> None:
    assert Header.from_metadata(make_metadata(changed)).classes == ("ant", "bee")


def test_two_classes_of_the_same_name_are_refused() -> None:
    with pytest.raises(Invalid, match="several classes called 'ant'"):
        Header.from_metadata(make_metadata({}, ("ant", "bee", "ant")))
