"""The table of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.cli.output import format_table


def format_folds(facts: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table with the accuracy of each fold, the mean, and the out-of-fold accuracy.

    Below it are the reasons why these accuracies may be wrong.

    Args:
        facts: Content of folds.json.
    """
    rows = [("FOLD", "TRAIN", "VAL", "ACCURACY", "")]
    rows += [
        (str(fold["fold"]), str(fold["train"]), str(fold["val"]), f"{fold['accuracy']:.3f}", "")
        for fold in facts["folds"]
    ]
    pooled = facts["out_of_fold"]
    rows.append(("mean", "", "", f"{facts['mean']:.3f}", f"standard deviation {facts['std']:.3f}"))
    interval = f"95% confidence interval {pooled['low']:.3f}-{pooled['high']:.3f}"
    rows.append(("out-of-fold", "", str(pooled["images"]), f"{pooled['accuracy']:.3f}", interval))
    return [*format_table(rows, right=(1, 2, 3)), *(f"warning: {warning}" for warning in facts["warnings"])]
