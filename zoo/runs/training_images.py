"""Find the images of a run again: those that it was trained on, in the same splits."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from zoo.data.dataset import Images, open_images
from zoo.data.sources.shard_names import is_pattern
from zoo.errors import DataError, NameNotFound, OptionError, RunError
from zoo.files.hub import is_in_hub_cache
from zoo.files.paths import expand_user
from zoo.files.schema import Run
from zoo.plugin.dataset_spec import DATASET_NAME
from zoo.progress import Progress
from zoo.registry.registry import Registry
from zoo.runs.data_options import parse_training_options
from zoo.runs.folder import RUN, RunFolder


def open_training_images(folder: RunFolder, registry: Registry, progress: Progress) -> Images:
    """Find the images of a run again, and check that they are the same.

    A run may come from anybody, so only files on this machine and data sets that it knows are read: no address in the
    run is fetched.

    Raises:
        RunError: If the run belongs to the cache of huggingface_hub, its run.json cannot be read, or the images of the
            training are not there.
    """
    try:
        return _open(folder, registry, progress)
    except (DataError, OptionError, RunError) as error:
        raise RunError(
            f"`distance` needs the images of the training once, to store their features in {folder.path}: {error}"
        ) from error


def _open(folder: RunFolder, registry: Registry, progress: Progress) -> Images:
    if is_in_hub_cache(folder.path):
        raise RunError(
            "this folder belongs to huggingface_hub, and zoo writes nothing there; copy the run to another folder, "
            "and use it where the images are."
        )
    facts = folder.read_json(RUN, Run)
    data = _find_data(facts, registry)
    options = parse_training_options(facts["recipe"])
    images = open_images(data, options, registry=registry, progress=progress)
    if images.fingerprint != facts["data"]["fingerprint"]:
        raise DataError(
            f"the images in {str(data)!r} are not those of the training, because their fingerprint differs; "
            "restore them, or change to the working directory of the training if the path is relative."
        )
    return images


def _find_data(facts: Run, registry: Registry) -> Path | str:
    """Return the path of the data, or the name of a data set that is known on this machine.

    registry.toml and the installed plugins say what a data set contains, not the run. A Path is never a URL.
    """
    asked = facts["data"]["asked"]
    if facts["data"].get("is_object"):
        raise DataError("they were a Python object; to measure distances, train on a folder or a table.")
    if facts["data"].get("paths_omitted"):  # An unrelated folder may have the name that is left.
        raise DataError("the run was pushed to the Hub without their paths; use the run where it was trained.")
    path = expand_user(asked)
    if not os.path.lexists(path) and DATASET_NAME.fullmatch(asked):
        with suppress(NameNotFound):
            registry.get_dataset(asked)
            return str(asked)
    if not os.path.lexists(path) and not is_pattern(path):
        raise DataError(
            f"there is no folder or file {asked!r} on this machine, and nothing is fetched for this; if it is a "
            "relative path, change to the working directory of the training; if it was fetched, train on a folder."
        )
    return path
