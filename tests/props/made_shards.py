"""Shards in the layout of webdataset."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

#: Content of the members of an image, by suffix.
Members = Mapping[str, bytes]


def write_shard(path: Path, samples: Mapping[str, Members]) -> Path:
    """Write a shard with the members of each key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as shard:
        for key, members in samples.items():
            for suffix, content in members.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    return path


def pack_shards(photos: Path, folder: Path, *, count: int = 3) -> Path:
    """Pack the images in SPLIT/CLASS/ into shards, a few for each split, and return the folder of the shards."""
    for split in sorted(path for path in photos.iterdir() if path.is_dir()):
        images = sorted(split.glob("*/*"))
        for number in range(count):
            samples = {
                f"{index:05}": {image.suffix[1:]: image.read_bytes(), "cls": image.parent.name.encode()}
                for index, image in list(enumerate(images))[number::count]
            }
            write_shard(folder / f"{split.name}-{number:03}.tar", samples)
    return folder
