from __future__ import annotations

import pytest

from zoo.errors import OptionError
from zoo.registry.adapt_design import AdaptDesign


def test_true_means_the_defaults_and_false_means_none() -> None:
    assert AdaptDesign.parse(value=True) == AdaptDesign()
    assert AdaptDesign.parse(value=False) is None


def test_settings_replace_the_defaults() -> None:
    assert AdaptDesign.parse("steps=3, lr=1e-4") == AdaptDesign(steps=3, lr=1e-4)
    assert AdaptDesign.parse("views=16") == AdaptDesign(views=16)


@pytest.mark.parametrize(
    "text",
    ["", "views", "views=", "views=0", "views=1.5", "views=2000", "steps=-1", "steps=101", "lr=0", "lr=2", "lr=nan",
     "views=2,views=3", "momentum=1", f"views={'9' * 5000}", "lr=1e999"],
)  # fmt: skip
def test_invalid_settings_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="invalid `adapt`"):
        AdaptDesign.parse(text)
