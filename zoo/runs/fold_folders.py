"""The names in the folder of a cross-validation."""

from __future__ import annotations

import re
from pathlib import Path

#: Summary of a cross-validation, which is written last.
FOLDS = "folds.json"
#: Out-of-fold predictions, in the run folder of a fold and in the folder of a cross-validation.
OUT_OF_FOLD = "predictions.csv"
_FOLD = re.compile(r"fold-([1-9][0-9]{0,8})")


def list_fold_folders(folder: Path) -> list[Path]:
    """Return the run folders of the folds in the folder of a cross-validation, in order."""
    found = (_FOLD.fullmatch(path.name) for path in folder.glob("fold-*"))
    return [folder / name_fold(number) for number in sorted(int(match[1]) for match in found if match)]


def name_fold(number: int) -> str:
    """Return the name of the run folder of a fold."""
    return f"fold-{number}"
