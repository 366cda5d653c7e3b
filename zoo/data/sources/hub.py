"""List the images of a data set on the Hugging Face Hub: ``hf:owner/name`` or ``hf:owner/name:config``.

The `datasets` library downloads the data set and finds its files, in any layout that the Hub supports. It never runs
code from a data set: the versions that zoo accepts refuse data sets that consist of a script. The images are not
decoded; their bytes are copied to zoo's cache folder. ``hf:FOLDER`` reads a local folder in the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.sources.cached_images import CachedImage, cache_images
from zoo.data.sources.entries import is_inside
from zoo.data.sources.image_columns import ImageColumns, choose_columns, list_notes, read_images
from zoo.data.sources.kinds import IMAGE_TABLE, adopt
from zoo.data.sources.table import list_table
from zoo.data.split_names import WORDS, find_split
from zoo.errors import DataError
from zoo.files.download import is_offline
from zoo.files.paths import expand_user
from zoo.registry.data_options import DataOptions

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.progress import Progress

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_BATCH = 64


def check_hub(value: str) -> None:
    """Check a name without downloading anything.

    Raises:
        DataError: If it is neither the name of a data set nor a folder, or the `datasets` library is not installed.
    """
    name, _ = _split_config(value)
    if not expand_user(name).is_dir() and not _NAME.fullmatch(name):
        raise DataError(f"cannot use 'hf:{value}': write hf:owner/name or hf:owner/name:config, or hf: and a folder.")
    if find_spec("datasets") is None:
        raise DataError(f"cannot use 'hf:{value}': it needs the datasets library; install zoo-backbones[hf].")


def list_hub(value: str, options: DataOptions, progress: Progress) -> Listing:
    """List the images of a data set. They are downloaded to the cache folder the first time.

    Args:
        value: ``owner/name`` or a folder, with an optional ``:config``.
        options: Names of the columns.
        progress: Where to report progress.

    Raises:
        DataError: If the data set cannot be loaded, or the image column or the label column is unclear.
    """
    name, config = _split_config(value)
    folder = expand_user(name)
    try:
        with _quiet(), _explained():
            builder = _prepare(name, config, progress)
            splits = builder.as_dataset()
        chosen, notes = _choose_splits(splits)
        options = adopt(options, IMAGE_TABLE, progress)
        features = builder.info.features.to_dict()
        columns = choose_columns(features, options)
        images = (
            image
            for split, part in chosen.items()
            for image in _read(part, columns, columns.decide_split(split, chosen), folder)
        )
        total = sum(part.num_rows for part in chosen.values())
        key = None if folder.is_dir() else _key(builder, columns)
        table = cache_images(images, total, progress, key=key)
    except DataError as error:
        raise DataError(f"cannot use 'hf:{value}': {error}.") from error
    source = {"name": f"hf:{name}", "config": builder.config.name, "revision": builder.hash}
    listing = list_table(table, DataOptions(needs_labels=options.needs_labels))
    found = None if folder.is_dir() else source
    return replace(listing, notes=(*notes, *list_notes(columns, features)), source=found, kind=IMAGE_TABLE)


def _split_config(value: str) -> tuple[str, str | None]:
    name, _, config = value.partition(":")
    return name, config or None


def _prepare(name: str, config: str | None, progress: Progress) -> Any:
    """Return the builder of a data set that has been downloaded."""
    import datasets

    folder = expand_user(name)
    if folder.is_dir():
        progress.say(f"note: hf:{name} is a local folder, not a data set on the Hub")
        name = str(folder.resolve())
    elif is_offline() and not datasets.config.HF_HUB_OFFLINE:
        raise DataError("ZOO_OFFLINE is set; set HF_HUB_OFFLINE=1 as well, so that the datasets library uses its cache")
    builder = datasets.load_dataset_builder(name, config)
    progress.say(f"preparing {name} with the datasets library")
    builder.download_and_prepare()
    return builder


@contextmanager
def _quiet() -> Iterator[None]:
    """Return a context without the library's progress bars, which would print text from the data set."""
    import datasets

    was_disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not was_disabled:
            datasets.enable_progress_bars()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # The library raises exceptions of many types.
        raise DataError(" ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")) from error


def _choose_splits(parts: Mapping[str, Any]) -> tuple[dict[str | None, Any], list[str]]:
    """Return the parts that are splits, and a note if other parts are skipped. A single part need not be a split."""
    found: dict[str | None, Any] = {}
    unused = []
    for name, part in parts.items():
        split = find_split(name)
        if split is None:
            unused.append(name)
        elif split in found:
            raise DataError(f"it has two splits for {split}: {', '.join(map(str, parts))}")
        else:
            found[split] = part
    if not found and len(unused) == 1:
        return {None: parts[unused[0]]}, []
    if not found:
        raise DataError(f"its splits are {', '.join(unused)}, but none is one of {', '.join(WORDS)}")
    return found, [f"skipped the splits {', '.join(unused)}"] if unused else []


def _read(part: Any, columns: ImageColumns, split: str | None, folder: Path) -> Iterator[CachedImage]:
    arrow = part.select_columns(list(dict.fromkeys(columns.list_used().values()))).with_format(
        "arrow"
    )  # does not decode the images
    batches = (table.to_pydict() for table in arrow.iter(batch_size=_BATCH))
    roots = [os.path.realpath(root) for root in (str(folder), *_list_caches())]

    def read_file(path: str) -> bytes:
        if not any(is_inside(os.path.realpath(path), root) for root in roots):
            raise DataError(f"a row refers to {path!r}, which is outside the data set")
        with _explained():
            return Path(path).read_bytes()

    return read_images(batches, columns, split, read_file)


def _list_caches() -> tuple[str, ...]:
    """Return the folders in which the libraries store downloaded files."""
    import datasets
    from huggingface_hub import constants

    own = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH)
    return str(own[0]), str(own[1]), str(constants.HF_HUB_CACHE)


def _key(builder: Any, columns: ImageColumns) -> str:
    """Return a digest of everything that the cached images depend on."""
    parts = [builder.repo_id, builder.config.name, builder.hash, astuple(columns)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
