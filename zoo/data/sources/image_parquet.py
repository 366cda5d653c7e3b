"""List the images in Parquet files, as Hugging Face stores data sets: each row contains the bytes of an image.

data/train-00000-of-00002.parquet  data/test-00000-of-00001.parquet      The usual layout on the Hub.
train-00000-of-00001.parquet  train/0000.parquet                         Also files beside each other, or one folder per
split.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.listing import LeftOut, show_names
from zoo.data.sources.cached_images import CachedImage, cache_images
from zoo.data.sources.columns import NAMES
from zoo.data.sources.entries import Entries, find_unsupported, list_entries
from zoo.data.sources.image_columns import (
    Features,
    ImageColumns,
    choose_columns,
    list_image_columns,
    list_notes,
    read_images,
)
from zoo.data.sources.kinds import IMAGE_TABLE, adopt
from zoo.data.sources.table import list_table
from zoo.data.sources.table_rows import open_parquet
from zoo.data.sources.walk import walk_files
from zoo.data.split_names import find_split, find_split_of_file
from zoo.errors import DataError
from zoo.files.download import sha256_of
from zoo.registry.data_options import DataOptions

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.progress import Progress

_BATCH = 64
#: The files of each split; None if there are no splits.
_Files = Mapping[str | None, Sequence[Path]]


def list_image_parquet(
    path: Path, options: DataOptions, progress: Progress, entries: Entries | None = None
) -> Listing | None:
    """List the images in a Parquet file or a folder of Parquet files; None if they contain no images.

    The images are written to files in the cache folder.

    Args:
        path: A file or a folder.
        options: Names of the columns.
        progress: Where to report progress.
        entries: Contents of the folder, if they are already listed.

    Raises:
        DataError: If a file is damaged, or the image column or the label column is unclear.
    """
    if path.is_file():
        files: _Files = {None: [path]} if path.suffix.lower() == ".parquet" else {}
        left_out: tuple[LeftOut, ...] = ()
    else:
        files, left_out = _find_files(path, entries or list_entries(path))
    first = next((found[0] for found in files.values()), None)
    if first is None:
        return None
    try:
        features = _read_features(open_parquet(first).schema_arrow)
        if not list_image_columns(features):
            return None
        left_out = (*left_out, *_find_loose_images(path))
        options = adopt(options, IMAGE_TABLE, progress)
        columns = _choose_columns(files, options)
        table = cache_images(_read(files, columns), _count_rows(files), progress, key=_key(files, columns))
    except DataError as error:
        raise DataError(f"cannot use {str(path)!r}: {error}.") from error
    listing = list_table(table, DataOptions(needs_labels=options.needs_labels)).leave_out(left_out)
    return replace(listing, notes=list_notes(columns[first], features), kind=IMAGE_TABLE)


def _find_files(folder: Path, entries: Entries) -> tuple[_Files, tuple[LeftOut, ...]]:
    """Return the Parquet files of each split, in a folder, in its ``data`` subfolder, or in its split folders.

    If no name contains a split, there are no splits. Otherwise, files whose names contain no split are skipped.
    """
    found = {path: _find_split(path) for path in _list_parquet(entries)}
    if not found and (folder / "data") in entries.folders:
        found = {path: _find_split(path) for path in _list_parquet(list_entries(folder / "data"))}
    if not found:
        splits = {inner: split for inner in entries.folders if (split := find_split(inner.name))}
        found = {path: split for inner, split in splits.items() for path in _list_parquet(list_entries(inner))}
    groups: dict[str | None, list[Path]] = {}
    for path, split in found.items():
        groups.setdefault(split, []).append(path)
    unused = groups.pop(None) if len(groups) > 1 and None in groups else []
    return groups, tuple(LeftOut(path, "its name contains no split") for path in unused)


def _find_loose_images(folder: Path) -> Sequence[LeftOut]:
    """Return the image files beside the Parquet files, such as those of a README.

    Raises:
        DataError: If they are in several folders, which may be classes.
    """
    images = [path for path, _ in walk_files(folder) if find_unsupported(path) is None] if folder.is_dir() else []
    if len(folders := sorted({path.parent for path in images} - {folder})) > 1:
        raise DataError(
            "are the images in its Parquet files, or in its folders, such as "
            f"{show_names(str(path.relative_to(folder)) for path in folders[:2])}? Move one of them elsewhere"
        )
    return [LeftOut(path, "not in a Parquet file") for path in images]


def _find_split(path: Path) -> str | None:
    """Return the split in a name such as ``train-00000-of-00002``, where it comes first, or ``insects-train``."""
    return find_split(path.stem.split("-")[0]) or find_split_of_file(path.stem)


def _list_parquet(entries: Entries) -> list[Path]:
    return sorted(path for path in entries.files if path.suffix.lower() == ".parquet")


def _read_features(schema: Any) -> Features:
    """Return the description of the columns, from the metadata that the `datasets` library writes, or from the types.

    Raises:
        DataError: If the metadata is damaged.
    """
    found = {field.name: _describe(field) for field in schema}
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        declared = metadata["info"]["features"] if metadata else {}
        for name, feature in declared.items():
            if name in found:
                classes = [str(text) for text in feature.get("names") or ()]
                found[name] = {"_type": feature.get("_type"), "names": classes}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"its metadata under the key 'huggingface' is damaged ({type(error).__name__})") from error
    return found


def _choose_columns(files: _Files, options: DataOptions) -> dict[Path, ImageColumns]:
    """Return the columns of each file. The same number may have different names in two files.

    Raises:
        DataError: If the columns of a file are unclear, or only some files contain a list of class names.
    """
    columns: dict[Path, ImageColumns] = {}
    for path in (path for paths in files.values() for path in paths):
        with _named(path):
            columns[path] = choose_columns(_read_features(open_parquet(path).schema_arrow), options)
    first, *others = columns
    for path in others:
        if columns[path].list_used() != columns[first].list_used():
            raise DataError(
                f"{first.name} has the {columns[first].describe()}, but {path.name} has the {columns[path].describe()};"
                " rename the columns so that all files have the same"
            )
        if bool(columns[path].classes) != bool(columns[first].classes):
            named, bare = (path, first) if columns[path].classes else (first, path)
            raise DataError(f"{named.name} contains a list of class names, but {bare.name} does not; add it")
    return columns


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error


def _describe(field: Any) -> Mapping[str, Any]:
    from pyarrow import types

    is_bytes = types.is_binary(field.type) or types.is_large_binary(field.type)
    is_struct = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    is_image = is_struct or (is_bytes and field.name.lower() in NAMES["image"])
    return {"_type": "Image" if is_image else "Value"}


def _read(files: _Files, columns: Mapping[Path, ImageColumns]) -> Iterator[CachedImage]:
    for split, paths in files.items():
        for path in paths:
            with _named(path):
                decided = columns[path].decide_split(split, files)
                yield from read_images(_read_batches(path, columns[path]), columns[path], decided)


def _read_batches(path: Path, columns: ImageColumns) -> Iterator[Mapping[str, Sequence[Any]]]:
    from pyarrow import ArrowException

    try:
        for batch in open_parquet(path).iter_batches(
            batch_size=_BATCH, columns=list(dict.fromkeys(columns.list_used().values()))
        ):
            yield batch.to_pydict()
    except (ArrowException, OSError) as error:  # also an OSError for damaged pages
        raise DataError(f"it is damaged ({' '.join(str(error).split())})") from error


def _count_rows(files: _Files) -> int:
    return sum(open_parquet(path).metadata.num_rows for paths in files.values() for path in paths)


def _key(files: _Files, columns: Mapping[Path, ImageColumns]) -> str:
    """Return a digest of everything that the cached images depend on."""
    parts = [[split, [(sha256_of(path), astuple(columns[path])) for path in paths]] for split, paths in files.items()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
