"""What zoo reports about the folds of a cross-validation: their results, and what makes the accuracy unsafe."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quick_runs import LEARNS, QUICK
from recording_progress import RecordingProgress
from zoo.cli.folds import format_folds
from zoo.errors import RunError
from zoo.registry.registry import Registry
from zoo.runs.compare import compare_runs
from zoo.training.finetune import finetune
from zoo.training.run import Run

Validate = Callable[..., Run]


@pytest.fixture
def validate(registry: Registry, photos: Path, output: Path) -> Validate:
    """Return a function that cross-validates the tiny network on 34 photos."""

    def validate(**options: Any) -> Run:
        options = {"folds": 3, "output": output, **LEARNS, **options}
        return finetune("net", photos, registry=registry, **options)

    return validate


def copy_to_other_class(photos: Path, count: int) -> None:
    """Copy the first images of a class to a different class."""
    one, other = sorted((photos / "train").iterdir())
    for path in sorted(one.iterdir())[:count]:
        shutil.copy(path, other / f"copy-{path.name}")


def test_results_are_reported_for_each_fold_even_if_they_are_the_same(validate: Validate, photos: Path) -> None:
    shutil.rmtree(photos / "val")
    progress = RecordingProgress()
    run = validate(lr=0.0, weights="none", train="head", progress=progress)
    assert len([line for line in progress.lines if line.startswith("last: epoch 4")]) == 3
    assert len([line for line in progress.lines if line.startswith("epoch ")]) == 12
    assert len(run.facts["folds"]) == 3


def test_the_warnings_of_all_folds_are_counted_together(validate: Validate, photos: Path, output: Path) -> None:
    copy_to_other_class(photos, 4)
    facts = validate(**QUICK).facts
    assert facts["warnings"] == ["8 val images have copies in different classes, so val labels are unreliable"]
    assert format_folds(facts)[-1] == f"warning: {facts['warnings'][0]}"
    assert compare_runs([output])[0].warnings == tuple(facts["warnings"])


def test_data_without_problems_has_no_warnings(validate: Validate) -> None:
    facts = validate(**QUICK).facts
    assert facts["warnings"] == []
    assert format_folds(facts)[-1].startswith("out-of-fold")


@pytest.mark.parametrize("missing", [(2,), (3,), (2, 3)])
def test_a_cross_validation_without_some_of_its_folds_is_not_compared(
    validate: Validate, output: Path, missing: tuple[int, ...]
) -> None:
    validate(**QUICK)
    for number in missing:
        shutil.rmtree(output / f"fold-{number}")
    with pytest.raises(RunError, match="does not contain all folds of one cross-validation"):
        compare_runs([output])


def test_a_cross_validation_with_a_fold_of_a_different_one_is_not_compared(
    validate: Validate, output: Path, tmp_path: Path
) -> None:
    validate(**QUICK)
    validate(**QUICK, folds=2, output=tmp_path / "two")
    shutil.copytree(output / "fold-3", tmp_path / "two" / "fold-3")
    with pytest.raises(RunError, match="or contains others as well"):
        compare_runs([tmp_path / "two"])


def test_fewer_folds_do_not_resume_in_a_folder_with_more(validate: Validate, output: Path) -> None:
    validate(**QUICK)
    for number in (1, 2):
        shutil.rmtree(output / f"fold-{number}")
    with pytest.raises(RunError, match=r"contains 'fold-3', which is not part of a run of 2 folds"):
        validate(**QUICK, folds=2, resume=True)
