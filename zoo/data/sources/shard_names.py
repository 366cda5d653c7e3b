"""Find the shards of a data set, and the split that each shard belongs to.

shards/                           A folder that contains shards, but neither folders nor images.
shards/train-{000..099}.tar       All shards whose numbers are in the range.
shards/{train,val}-{0..9}.tar     All combinations.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.data.listing import show_names
from zoo.data.sources.entries import SHARD_SUFFIXES, Entries, list_entries
from zoo.data.split_names import count_splits, find_split_of_file
from zoo.errors import DataError

SUFFIX = ".tar"
#: Maximum number of names that a pattern may expand to.
MAX_SHARDS = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")


def is_pattern(path: Path) -> bool:
    """Return whether a path refers to several shards."""
    return path.suffix.lower() == SUFFIX and _BRACES.search(path.name) is not None


def find_shards(path: Path, entries: Entries | None = None) -> tuple[Path, ...]:
    """Return the shards that a pattern or a folder refers to; there are none if the folder is not a folder of shards.

    Args:
        path: A pattern, a file or a folder.
        entries: Contents of the folder, if they are already listed.

    Raises:
        DataError: If the pattern is invalid, or a shard does not exist or is named twice.
    """
    if is_pattern(path):
        shards = tuple(path.with_name(name) for name in expand_pattern(path.name))
        if missing := [str(shard) for shard in shards if not shard.is_file()]:
            raise DataError(f"{len(missing)} of {len(shards)} shards do not exist: {show_names(missing)}.")
        if repeated := sorted(shard.name for shard, count in Counter(shards).items() if count > 1):
            raise DataError(f"{path.name!r} names shards twice: {show_names(repeated)}; name each shard once.")
        return shards
    if path.is_file():
        return ()
    entries = entries or list_entries(path)
    if entries.folders or any(file.suffix.lower() in SHARD_SUFFIXES for file in entries.files):
        return ()
    return tuple(file for file in entries.files if file.suffix.lower() == SUFFIX)


def is_unpacked_shard(folder: Path) -> bool:
    """Return whether a folder contains images and their labels, like a shard that was unpacked by mistake."""
    files = list_entries(folder).files
    labels = {file.name.partition(".")[0] for file in files if file.suffix.lower() in (".cls", ".json")}
    return any(file.name.partition(".")[0] in labels for file in files if file.suffix.lower() in SHARD_SUFFIXES)


def divide_shards(shards: Sequence[Path]) -> dict[Path, str | None]:
    """Return the split of each shard, or None for all of them if no name contains the name of a split.

    Raises:
        DataError: If only some of the names contain the name of a split.
    """
    splits = {shard: find_split_of_file(shard.stem) for shard in shards}
    unknown = [shard.name for shard, split in splits.items() if split is None]
    if unclear := [name for name in unknown if count_splits(name) > 1]:
        raise DataError(
            f"these shard names contain the names of several splits: {show_names(unclear)}; rename them, for example to"
            " train-000.tar."
        )
    if unknown and len(unknown) < len(shards):
        raise DataError(
            f"some shard names contain the name of a split, but others do not: {show_names(unknown)}; rename them,"
            " for example to train-000.tar."
        )
    return splits


def expand_pattern(name: str) -> Iterator[str]:
    """Yield the names that a name with braces expands to.

    Raises:
        DataError: If a range is empty, or there are too many names.
    """
    fixed, choices = _BRACES.split(name)[::2], [_list_choices(part) for part in _BRACES.findall(name)]
    count = 1
    for some in choices:
        count *= len(some)
    if count > MAX_SHARDS:
        raise DataError(f"{name!r} expands to {count:,} shards; the maximum is {MAX_SHARDS:,}.")
    for chosen in itertools.product(*choices):
        yield fixed[0] + "".join(part + end for part, end in zip(chosen, fixed[1:], strict=True))


def _list_choices(part: str) -> Sequence[str]:
    """Return what the text in braces expands to. Numbers have as many digits as the first number of the range."""
    if not (match := _RANGE.fullmatch(part)):
        return part.split(",")
    first, last = match.groups()
    if int(first) > int(last):
        raise DataError(f"the range {part!r} is empty; use {last}..{first}.")
    if int(last) - int(first) >= MAX_SHARDS:
        raise DataError(f"the range {part!r} has more than {MAX_SHARDS:,} numbers.")
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
