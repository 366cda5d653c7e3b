"""The kinds of data sources, and which options apply to them.

run.json records the kind, so that an evaluation on data of the same kind can use the run's own options.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zoo.errors import OptionError

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions

#: Folders of classes, and folders whose file names contain the class.
FOLDER = "folder"
#: A folder that contains a table of labels.
FOLDER_TABLE = "folder-table"
#: A table of paths, or a data frame.
TABLE = "table"
#: A table whose rows contain images, such as Parquet files and data sets of the Hugging Face Hub.
IMAGE_TABLE = "image-table"
SHARDS = "shards"
#: Sources without names of columns: torchvision data sets, other Python objects and rows from a plugin.
OTHER = "other"


def adopt(options: DataOptions, kind: str, progress: Progress) -> DataOptions:
    """Return the options, with those of the run that is evaluated if they are for data of the same kind.

    Options that the user gave take precedence. A note names what is taken from the run.
    """
    run = options.of_run
    if run is None or run.kind != kind:
        return options
    if run.label_from:
        shown = f"`label_from` {run.label_from.pattern!r}"
    elif run.columns:
        shown = f"`columns` {','.join(f'{role}={name}' for role, name in run.columns.items())}"
    else:
        return options
    progress.say(f"note: using {shown} as in the run; to use none, pass none")
    return replace(options, label_from=run.label_from, columns=run.columns, of_run=None)


def refuse_option(name: str, value: object, found: str, wanted: str) -> None:
    """Refuse an option that does not apply to this kind of source.

    Raises:
        OptionError: If the option has a value.
    """
    if value:
        raise OptionError(f"`{name}` applies only to {wanted}, but {found}.")
