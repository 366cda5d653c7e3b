"""List the images of a path on this disk: shards, Parquet files of images, a table, or a folder."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.listing import ImageFile, LeftOut, Listing
from zoo.data.sources.cached import Located
from zoo.data.sources.entries import Entries, list_entries
from zoo.data.sources.flat_folder import list_flat_folder
from zoo.data.sources.folder import list_folder
from zoo.data.sources.folder_tables import has_table, list_folder_tables
from zoo.data.sources.image_parquet import list_image_parquet
from zoo.data.sources.kinds import FOLDER, FOLDER_TABLE, SHARDS, TABLE, adopt, refuse_option
from zoo.data.sources.shard_names import find_shards, is_unpacked_shard
from zoo.data.sources.shards import list_shards
from zoo.data.sources.table import list_table
from zoo.data.sources.walk import walk_files
from zoo.errors import DataError
from zoo.files.paths import expand_user

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions


def list_path(value: str | PathLike[str], located: Located, options: DataOptions, progress: Progress) -> Listing:
    """List the images of a path.

    Args:
        value: What the user passed.
        located: The folder, table or pattern of shards that it refers to.
        options: How to find the images.
        progress: Where to report progress.

    Raises:
        DataError: If the images cannot be listed.
        OptionError: If an option does not apply to this kind of source.
    """
    path = located.path
    entries = list_entries(path) if path.is_dir() else None
    if shards := find_shards(path, entries):
        refuse_option("label_from", options.label_from, f"{str(value)!r} consists of shards", "a folder of images")
        return replace(list_shards(shards, adopt(options, SHARDS, progress), progress), kind=SHARDS)
    if not options.label_from and (listing := list_image_parquet(path, options, progress, entries)):
        return listing
    if entries is None:
        refuse_option("label_from", options.label_from, f"{str(value)!r} is a table", "a folder")
        own = located.source is None
        return replace(list_table(path, adopt(options, TABLE, progress), is_own=own), kind=TABLE)
    if not options.needs_labels:
        refuse_option("columns", options.columns, f"{str(value)!r} is a folder", "a table")
        return _list_all_files(path)
    return _list_folder(value, path, options, progress, entries)


def list_image(path: Path, options: DataOptions) -> Listing:
    """List a single image, which needs no label.

    Raises:
        OptionError: If ``columns`` is given.
    """
    refuse_option("columns", options.columns, f"{str(path)!r} is an image", "a table")
    return Listing.unlabeled([ImageFile(path.parent, path.name, "test", "", path.name)])


def _list_folder(
    value: str | PathLike[str], path: Path, options: DataOptions, progress: Progress, entries: Entries
) -> Listing:
    if options.label_from:
        refuse_option("columns", options.columns, "`label_from` is set, too", "a table")
        return replace(list_flat_folder(path, options.label_from), kind=FOLDER)
    if (adopted := adopt(options, FOLDER, progress)).label_from:
        return replace(list_flat_folder(path, adopted.label_from), kind=FOLDER)
    if options.of_run and has_table(path):
        adopted = adopt(options, FOLDER_TABLE, progress)
    if listing := list_folder_tables(path, adopted, entries):
        return replace(listing, kind=FOLDER_TABLE)
    refuse_option("columns", options.columns, f"{str(value)!r} is a folder", "a table")
    listing = list_folder(path, entries)
    if not listing.files and path != expand_user(str(value)) and is_unpacked_shard(path):
        raise DataError(
            f"{str(value)!r} is a shard, not an archive of a folder; pass the folder that contains the shards, or a "
            "pattern such as 'train-{000..099}.tar'."
        )
    return replace(listing, kind=FOLDER)


def _list_all_files(folder: Path) -> Listing:
    files = sorted(walk_files(folder), key=lambda item: item[0])
    return Listing.unlabeled(
        LeftOut(path, reason) if reason else ImageFile.below(folder, path, "test", "") for path, reason in files
    )
