"""The options with which data is read: for an evaluation, those that are given, and otherwise those of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import OptionError
from zoo.files.schema import RecipeFacts, Run
from zoo.registry.data_options import DataOptions, RunOptions
from zoo.runs.folder import RUN

if TYPE_CHECKING:
    from zoo.runs.folder import RunFolder

#: Value of an option that must not be that of the run.
NONE = "none"


def parse_evaluation_options(label_from: str | None, columns: str | None, folder: RunFolder | None) -> DataOptions:
    """Parse the options of an evaluation.

    Args:
        label_from: Regular expression; None means that of the run, and ``none`` means none.
        columns: Columns by role; None means those of the run, and ``none`` means none.
        folder: Folder of the run, which may lack its run.json; None if there is no folder.

    Raises:
        OptionError: If a value is invalid, or ``columns`` names a column of weights, which would have no effect.
        RunError: If run.json is damaged.
    """
    options = DataOptions.parse(label_from=_drop_none(label_from), columns=_drop_none(columns))
    if "weight" in options.columns:
        raise OptionError("`columns`: an evaluation counts all images alike; leave out weight.")
    if folder is None or (label_from is not None or columns is not None) or not (folder.path / RUN).is_file():
        return options
    facts = folder.read_json(RUN, Run)
    recipe = facts["recipe"]
    own = DataOptions.parse(label_from=recipe.get("label_from"), columns=recipe.get("columns"))
    used = {role: name for role, name in own.columns.items() if role != "weight"}
    of_run = RunOptions(facts["data"].get("kind", ""), own.label_from, used)
    return DataOptions(of_run=of_run)


def parse_training_options(recipe: RecipeFacts) -> DataOptions:
    """Parse the options with which a run found and split its images.

    Raises:
        OptionError: If a value is invalid.
    """
    return DataOptions.parse(
        label_from=recipe.get("label_from"), columns=recipe.get("columns"), split=recipe.get("split"),
        fold=recipe.get("fold"), seed=recipe.get("seed", 0),
    )  # fmt: skip


def _drop_none(value: str | None) -> str | None:
    return None if value == NONE else value
