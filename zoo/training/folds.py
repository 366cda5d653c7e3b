"""Cross-validation: train one run for each fold, and summarize the predictions for the images held out in turn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from zoo.data.source import name_source
from zoo.engine.distributed.world import World
from zoo.errors import OptionError, RunError
from zoo.files.atomic import make_folder, remove_partial
from zoo.files.partial import PREFIX
from zoo.files.paths import accessing
from zoo.progress import Advance, Progress
from zoo.registry.fold import Fold, list_folds
from zoo.registry.recipe import Recipe
from zoo.registry.train_scope import ALL
from zoo.runs.fold_folders import FOLDS, OUT_OF_FOLD, name_fold
from zoo.runs.fold_summary import write_summary
from zoo.runs.folder import CHECKPOINTS, RUN, RunFolder
from zoo.runs.lock import RunLock
from zoo.training.job import Job

#: How the lines with the results of a fold begin.
_RESULTS = ("fold ", "epoch ", "last: ")


class TrainFold(Protocol):
    """A function that trains the run of a fold, or resumes it."""

    def __call__(self, fold: Fold, output: Path, progress: Progress) -> Mapping[str, Any]:
        """Return the content of the run.json in the ``output`` folder."""


class SaidOnce:
    """Progress that says each line once, because every fold reports the same data and the same backbone.

    Results are always said, because two folds may have the same ones.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        """Show the line, unless it was shown before and is not a result."""
        if line.startswith(_RESULTS) or line not in self._said:
            self._said.add(line)
            self._progress.say(line)

    def track(self, title: str, total: int | None) -> AbstractContextManager[Advance]:
        """Show the progress of some work."""
        return self._progress.track(title, total)


def plan_folds(count: int, recipe: Recipe) -> list[Fold]:
    """Return the folds of a cross-validation.

    Raises:
        OptionError: If the number of folds is invalid, or an option does not work with folds.
    """
    folds = list_folds(count)
    if recipe.fold:
        raise OptionError("`fold` trains a single fold, and `folds` trains all of them; set only one of the two.")
    if recipe.baseline != "none":
        raise OptionError(
            "`baseline` compares a single run; to compare with random weights, leave it out and run `folds` once more "
            "with `weights` none and `train` all."
        )
    replace(recipe, fold=str(folds[0]))  # This raises OptionError if an option conflicts with folds.
    return folds


def claim_folder(job: Job, output: Path | None, lock: RunLock) -> RunFolder:
    """Create and lock the folder of a cross-validation.

    Raises:
        RunError: If ``output`` is not an empty folder, or another process uses it.
    """
    if output is None:
        folder = RunFolder.claim(None, job.resolved.backbone.name, name_source(job.data))
    else:
        RunFolder.refuse_used(output)
        make_folder(output)
        folder = RunFolder(output)
    lock.take(folder.path)
    return folder


def reopen_folder(output: Path | None, count: int, lock: RunLock) -> RunFolder:
    """Lock the ``output`` folder, in which some folds may be finished already; create it if it does not exist.

    Args:
        output: Folder of the cross-validation.
        count: Number of folds.
        lock: Lock of this process.

    Raises:
        OptionError: If ``output`` is None.
        RunError: If the folder contains anything but these folds, or another process uses it.
    """
    if output is None:
        raise OptionError("`resume` needs `output`, the folder of the run to continue.")
    with accessing(output, RunError, "choose another `output`"):
        make_folder(output)
        known = {FOLDS, OUT_OF_FOLD, *(name_fold(number) for number in range(1, count + 1))}
        foreign = [
            path.name for path in output.iterdir() if path.name not in known and not path.name.startswith(PREFIX)
        ]
    if RUN in foreign or CHECKPOINTS in foreign:
        raise RunError(f"{output} contains a run without folds; resume it without `folds`, or choose another `output`.")
    if foreign:
        raise RunError(
            f"{output} contains {min(foreign)!r}, which is not part of a run of {count} folds; choose another `output`."
        )
    lock.take(output)
    remove_partial(output)
    return RunFolder(output)


def report_cost(recipe: Recipe, count: int, progress: Progress) -> None:
    """Report how long all folds take, compared with one run."""
    epochs = f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)}"
    is_shared = recipe.cache and recipe.augmentation == "none" and recipe.scope != ALL and not recipe.scope.is_phased
    if is_shared:
        progress.say(f"{count} folds of {epochs} each; the features of the frozen part are computed once for all folds")
    else:
        progress.say(f"{count} folds: each trains {epochs}, so they take about {count} times as long as one run")


@contextmanager
def _removing_empty(folder: RunFolder | None) -> Iterator[None]:
    """Return a context that removes the folder after an error if nothing was written, as when the data is unusable."""
    try:
        yield
    except BaseException:
        if folder:
            with suppress(OSError):  # The folder is not empty.
                folder.path.rmdir()
        raise


def cross_validate(
    folds: Sequence[Fold], folder: RunFolder | None, train_fold: TrainFold, world: World, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """Train the folds one after the other, and summarize them.

    Args:
        folds: Folds to train.
        folder: Folder of the cross-validation; None in all processes but the first, which do not write files.
        train_fold: Function that trains the run of a fold, or resumes it.
        world: Processes of the run.
        progress: Where to report progress.

    Returns:
        The path of the folder and the content of folds.json, in every process.
    """
    runs = []
    for fold in folds:
        progress.say(f"fold {fold.number} of {fold.count}")
        with _removing_empty(folder):
            run = train_fold(fold, (folder.path if folder else Path()) / name_fold(fold.number), progress)
        accuracy, images = run["val"]["accuracy"], run["val"]["images"]
        progress.say(f"fold {fold.number} of {fold.count}: accuracy {accuracy:.3f} on {images} images")
        runs.append(run)
    shared = ""
    if folder:
        facts = write_summary(folder, runs)
        shared = json.dumps([str(folder.path), facts])
    path, facts = json.loads(world.broadcast(shared))
    return Path(path), facts
