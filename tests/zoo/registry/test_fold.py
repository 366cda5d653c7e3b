"""The option `fold`."""

from __future__ import annotations

import pytest

from zoo.errors import OptionError
from zoo.registry.data_options import DataOptions
from zoo.registry.fold import Fold, list_folds


def test_a_fold_is_its_number_and_the_number_of_folds() -> None:
    assert Fold.parse("3/5") == Fold(3, 5)
    assert str(Fold(3, 5)) == "3/5"


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "5", "1/5/2", "-1/5", "a/b", "1/5\n", "01/5", "1 / 5"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"invalid `fold` .*, such as 3/5"):
        Fold.parse(text)


def test_folds_are_numbered_from_1() -> None:
    assert [str(fold) for fold in list_folds(3)] == ["1/3", "2/3", "3/3"]


def test_data_options_contain_the_fold_beside_fractions_with_test() -> None:
    options = DataOptions.parse(fold="2/3", split="0.6,0.2,0.2", seed=4)
    assert (options.fold, options.fractions, options.seed) == (Fold(2, 3), (0.6, 0.2, 0.2), 4)
