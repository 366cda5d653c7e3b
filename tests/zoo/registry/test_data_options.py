"""Options for finding and splitting images."""

from __future__ import annotations

import pytest

from zoo.errors import OptionError
from zoo.registry.data_options import DataOptions


def test_columns_are_named_by_role() -> None:
    assert DataOptions.parse(columns="image=path, label=the breed").columns == {"image": "path", "label": "the breed"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.6,0.2,0.2", (0.6, 0.2, 0.2)), ("0.8, 0.2", (0.8, 0.2, 0.0)), ("0.9,0.1,0", (0.9, 0.1, 0.0))],
)
def test_fractions_are_for_train_val_and_test(text: str, expected: tuple[float, float, float]) -> None:
    assert DataOptions.parse(split=text).fractions == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("columns", "path", "`columns` needs ROLE=COLUMN, got 'path'"),
        ("columns", "image=", "`columns` needs ROLE=COLUMN"),
        ("columns", "picture=path", "roles are image, label, split, group"),
        ("columns", "image=a,image=b", "names the image column twice"),
        ("columns", "image=a,label=a", "names the column 'a' for both image and label"),
        ("split", "0.8", "`split` must be fractions of train, val and test"),
        ("split", "train,val", "`split` must be fractions of train, val and test"),
        ("split", "0.5,0.2,0.2", "add up to 1"),
        ("split", "1,0", "above 0"),
        ("split", "1.5,-0.5", "above 0"),
        ("split", "nan,0.5,0.5", "above 0"),
        ("split", "inf,-inf,1", "above 0"),
        ("label_from", "", "`label_from` is empty"),
        ("columns", "", "`columns` needs ROLE=COLUMN, got ''"),
        ("split", "", "`split` must be fractions"),
        ("label_from", "(cat", "is not a regular expression"),
        ("label_from", "(?:" * 20_000, "is not a regular expression"),
        ("label_from", f"a{{{'9' * 20}}}", "is not a regular expression"),
        ("label_from", "(cat|dog)_(.*)", "has 2 groups"),
    ],
)
def test_invalid_values_are_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        DataOptions.parse(**{name: value})  # type: ignore[arg-type]  # mypy takes the value for the seed
    assert message in str(caught.value)
