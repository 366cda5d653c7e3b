"""How the images of a data source are found and split, parsed once from the options of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.errors import OptionError
from zoo.registry.fold import Fold

#: What a column of a table can contain. The first two are required.
ROLES = ("image", "label", "split", "group", "weight")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a finished run found its images. An evaluation does the same for data of the same kind."""

    #: Kind of data source, as in `zoo.data.sources.kinds`.
    kind: str
    label_from: re.Pattern[str] | None
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DataOptions:
    """How the images of a data source are found and split."""

    #: Regular expression whose first group, or whole match, is the class in an image's file name.
    label_from: re.Pattern[str] | None = None
    #: Name or number of the column for each role, for tables whose columns have different names.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: Fractions of the images for train, val and test; None means that val gets a fifth of train.
    fractions: tuple[float, float, float] | None = None
    #: Seed of the split and of the folds.
    seed: int = 0
    #: Fold that becomes val. The other images of train and val become train.
    fold: Fold | None = None
    #: Whether to list only images that have a label; predictions need none.
    needs_labels: bool = True
    #: Number of channels of the input, for images in memory.
    channels: int = 3
    #: Options of the run that is evaluated, which are used if they apply to the data.
    of_run: RunOptions | None = None

    @classmethod
    def parse(
        cls, *, label_from: str | None = None, columns: str | None = None, split: str | None = None,
        fold: str | None = None, seed: int = 0,
    ) -> DataOptions:  # fmt: skip
        """Parse the options.

        Args:
            label_from: Regular expression with at most one group, such as ``(cat|dog)``.
            columns: Columns by role, such as ``image=path,label=breed``.
            split: Fractions such as ``0.6,0.2,0.2`` for train, val and test, or ``0.8,0.2`` for train and val.
            fold: Fold of a cross-validation, such as ``3/5``.
            seed: Seed of the split and of the folds.

        Raises:
            OptionError: If a value is invalid.
        """
        fractions = None if split is None else _parse_fractions(split)
        if fold and fractions and not fractions[2]:
            raise OptionError(
                f"`split` {split} chooses the validation images, but so do the folds; leave it out, or pass three "
                "fractions to set test images apart."
            )
        return cls(
            None if label_from is None else _parse_pattern(label_from),
            {} if columns is None else _parse_columns(columns),
            fractions,
            seed,
            None if fold is None else Fold.parse(fold),
        )


def _parse_pattern(text: str) -> re.Pattern[str]:
    if not text:
        raise OptionError("`label_from` is empty; omit it or set it to a regular expression.")
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise OptionError(f"`label_from` {text!r} is not a regular expression: {error}.") from error
    if pattern.groups > 1:
        raise OptionError(
            f"`label_from` {text!r} has {pattern.groups} groups; put the class into one group, "
            "and write (?:...) for the others."
        )
    return pattern


def _parse_columns(text: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for assignment in text.split(","):
        role, equals, name = (part.strip() for part in assignment.partition("="))
        if not equals or not name or role not in ROLES:
            raise OptionError(
                f"`columns` needs ROLE=COLUMN, got {assignment!r}; roles are {', '.join(ROLES)}, "
                "as in image=path,label=breed."
            )
        if role in columns:
            raise OptionError(f"`columns` names the {role} column twice.")
        if other := next((known for known, used in columns.items() if used == name), None):
            raise OptionError(f"`columns` names the column {name!r} for both {other} and {role}; name one for each.")
        columns[role] = name
    return columns


def _parse_fractions(text: str) -> tuple[float, float, float]:
    try:
        fractions = [float(part) for part in text.split(",")]
    except ValueError:
        fractions = []
    if len(fractions) not in (2, 3):
        raise OptionError(f"`split` must be fractions of train, val and test, such as 0.6,0.2,0.2, got {text!r}.")
    train, val, test = (*fractions, 0.0)[:3]
    if not (train > 0 and val > 0 and test >= 0 and abs(train + val + test - 1) < 1e-6):  # also refuses NaN
        raise OptionError(f"the fractions of `split` must be above 0 and add up to 1, got {text!r}.")
    return train, val, test
