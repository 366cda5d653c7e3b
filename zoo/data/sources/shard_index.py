"""Find the images of a shard in its file, and their labels.

A shard is an uncompressed .tar archive in the WebDataset format: ``KEY.jpg`` is an image, and ``KEY.cls`` contains its
class, or ``KEY.json`` contains an object with the class. Nothing is unpacked, and no pickle is read. The index is kept
in the cache folder until the shard changes.
"""

from __future__ import annotations

import json
import stat
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from zoo.data.sources.columns import NAMES
from zoo.data.sources.entries import SHARD_SUFFIXES
from zoo.data.sources.json_record import parse_record
from zoo.errors import DataError
from zoo.files.atomic import atomic_write
from zoo.files.cache import cache_folder, make_key
from zoo.files.limits import LABEL_BYTES
from zoo.files.paths import read_file
from zoo.files.safe_tar import SafeTar
from zoo.files.schema import ShardIndex
from zoo.files.validation import Invalid, parse_json

#: Version of the index format.
_FORMAT = 3
#: Name, offset and size of an image, and its class or None.
Entry = tuple[str, int, int, str | None]


def read_index(shard: Path, field: str | None) -> tuple[list[Entry], tuple[int, int]]:
    """Return the images of a shard in the order of the file, and the shard's size and modification time.

    Args:
        shard: Uncompressed .tar archive.
        field: Field of ``KEY.json`` with the class; None means that common names are tried, and ``""`` that labels are
            not read.

    Raises:
        DataError: If the shard cannot be read, is damaged or compressed, or has a label that cannot be read.
    """
    try:
        status = shard.stat()
        if not stat.S_ISREG(status.st_mode):  # Opening a named pipe would block forever.
            raise DataError("it is not a file")
        state = (status.st_size, status.st_mtime_ns)
        about = [_FORMAT, str(shard.resolve()), *state, field]
        path = cache_folder() / "shards" / f"{make_key({'about': about})}.json"
        if (found := _load(path, status.st_size)) is not None:
            return found, state
        with shard.open("rb") as file:
            images = _scan(file, field)
    except DataError as error:
        raise DataError(f"cannot use the shard {str(shard)!r}: {error}.") from error
    except OSError as error:
        raise DataError(f"cannot use the shard {str(shard)!r}: {error.strerror or error}.") from error
    except tarfile.TarError as error:
        raise DataError(
            f"cannot use the shard {str(shard)!r}: {error}. A shard is an uncompressed .tar archive."
        ) from error
    with suppress(OSError):  # Without a writable cache folder, the shard is read every time.
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_text(json.dumps({"images": images}), encoding="ascii")
    return images, state


def _load(path: Path, size: int) -> list[Entry] | None:
    """Return a cached index; None if there is none, or if it is damaged."""
    try:
        content = parse_json(read_file(path), ShardIndex)
    except (OSError, Invalid):
        return None
    images = [(name, offset, length, label) for name, offset, length, label in content["images"]]
    return images if all(0 <= offset <= offset + length <= size for _, offset, length, _ in images) else None


def _scan(file: IO[bytes], field: str | None) -> list[Entry]:
    images: dict[str, tuple[str, int, int]] = {}
    #: Images that have a second period in their names, and therefore no key of their own.
    others: list[Entry] = []
    labels: dict[str, str] = {}
    records: dict[str, str] = {}
    with SafeTar.open(fileobj=file, mode="r:") as shard:
        for member in shard:
            shard.members.clear()  # Otherwise, tarfile keeps all members in memory.
            key, suffix = _split_name(member.name)
            if not member.isreg() or member.issparse():
                continue
            place = (member.name, member.offset_data, member.size)
            if suffix in SHARD_SUFFIXES:
                if key in images:
                    raise DataError(f"its members {images[key][0]!r} and {member.name!r} have the same key")
                images[key] = place
            elif suffix.endswith(tuple(SHARD_SUFFIXES)):
                others.append((*place, None))
            elif field != "" and (suffix == ".cls" or (suffix == ".json" and key not in labels)):
                _add_label(labels if suffix == ".cls" else records, key, member.name, _read_label(shard, member, field))
        shard.check_end()
    return [*((*image, labels.get(key, records.get(key))) for key, image in images.items()), *others]


def _add_label(labels: dict[str, str], key: str, name: str, label: str | None) -> None:
    if key in labels:
        raise DataError(f"its member {name!r} is a second label of the key {key!r}; keep one")
    if label is not None:
        labels[key] = label


def _split_name(name: str) -> tuple[str, str]:
    """Return the key and the suffix of a member: the key ends at the first period of the file's name."""
    folder, slash, file = name.rpartition("/")
    stem, period, suffix = file.partition(".")
    return folder + slash + stem, (period + suffix).lower()


def _read_label(shard: SafeTar, member: tarfile.TarInfo, field: str | None) -> str | None:
    """Return the class in a member; None if it contains none."""
    if member.size > LABEL_BYTES.read():
        raise DataError(f"its member {member.name!r} has {LABEL_BYTES.explain(member.size)}")
    source = shard.extractfile(member)
    content = source.read() if source else b""
    try:
        text = content.decode("utf-8-sig").strip()
        if member.name.lower().endswith(".cls"):
            return text or None
        record = parse_record(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its member {member.name!r} cannot be read ({error})") from error
    names = (field,) if field else NAMES["label"]
    found = {name: record[name] for name in names if name in record} if isinstance(record, dict) else {}
    values = list(found.values())
    if any(value != values[0] for value in values):
        shown = " and ".join(map(repr, found))
        raise DataError(
            f"its member {member.name!r} has different values for {shown}; choose the label, for example with "
            f"`columns` label={next(iter(found))}"
        )
    if values and isinstance(values[0], (str, int)) and not isinstance(values[0], bool):
        return str(values[0]).strip() or None
    return None
