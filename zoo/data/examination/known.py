"""The traits of all images that were decoded before, so that the same file is examined only once.

They are in a text file in the cache folder, one for each combination of versions and limits, with
one line per image. Several processes may append to this file in any order. All lines have the same length, so a
truncated line is never valid, not even together with the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from zoo.data.examination.traits import PACKED_SIZE, Traits
from zoo.data.file_kinds import reads_heic
from zoo.files.cache import cache_folder
from zoo.files.limits import DECODING_BYTES, IMAGE_BYTES, JPEG_SCANS, PIXELS
from zoo.files.versions import read_versions

#: Increase this number when a hash changes, or when zoo reads or refuses different files. Traits that were recorded
#: before are then not used any more.
VERSION = 3
#: Packages whose versions affect which files can be decoded, and to which pixels.
_DECODERS = ("zoo", "torch", "torchvision", "pillow")
#: Limits that affect which files can be decoded.
_LIMITS = (DECODING_BYTES, IMAGE_BYTES, JPEG_SCANS, PIXELS)
#: A line: the SHA-256 of an image's bytes and its packed traits, both in hex. The traits begin with a known format.
_LINE = re.compile(rb"([0-9a-f]{64}) (0[0-9a][0-9a-f]{%d})\n" % (2 * PACKED_SIZE - 2))


class Known(Mapping[bytes, Traits]):
    """Traits of images, by the SHA-256 of their bytes. There may be many, so they are unpacked only on use."""

    def __init__(self, packed: Mapping[bytes, bytes]) -> None:
        self._packed = packed

    def __getitem__(self, digest: bytes) -> Traits:
        return Traits.unpack(self._packed[digest])

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def read_known() -> Known:
    """Return the traits of all images that the installed package versions have decoded."""
    path = _path()
    if not path.is_file():  # Opening a named pipe would block forever.
        return Known({})
    try:
        with path.open("rb") as file:
            found = (_LINE.fullmatch(line) for line in file)
            pairs = ([bytes.fromhex(part.decode()) for part in line.groups()] for line in found if line)
            return Known({pair[0]: pair[1] for pair in pairs})
    except OSError:
        return Known({})


def add_known(traits: Mapping[bytes, Traits]) -> None:
    """Record traits. If the cache folder is not writable, nothing is recorded."""
    path = _path()
    if path.exists() and not path.is_file():  # as above
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.writelines(f"{digest.hex()} {found.pack().hex()}\n" for digest, found in traits.items())


def _path() -> Path:
    decoders = (*_DECODERS, "pillow-heif") if reads_heic() else _DECODERS
    versions = (f"{name} {version}" for name, version in read_versions(*decoders).items())
    limits = (f"{limit.variable} {limit.read()}" for limit in _LIMITS)
    key = hashlib.sha256(" ".join((*versions, *limits, f"examination {VERSION}")).encode()).hexdigest()
    return cache_folder() / "examined" / f"{key[:16]}.txt"
