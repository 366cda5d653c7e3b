"""Images that must stay together when a data set is divided: copies of one image, and the images of one group."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from zoo.data.listing import ImageFile
from zoo.data.sample import Sample

#: A digest or a group, and which of the two it is.
_Node = tuple[str, bytes | str]


class Labeled(NamedTuple):
    """An image to be placed in a split or a fold."""

    class_name: str
    #: SHA-256 of the file's bytes, or of its name if it was not examined; see `choose_key`.
    digest: bytes
    group: str | None = None


def choose_key(image: Sample, clusters: Mapping[bytes, bytes] = MappingProxyType({})) -> bytes:
    """Return the digest by which an image is placed.

    Images of one cluster have the same one; see `zoo.data.examination.clusters`. For an image that was not examined, it
    depends on the name.
    """
    return clusters.get(image.digest, image.digest) if image.is_examined else _digest_name(image.file)


def _digest_name(file: ImageFile) -> bytes:
    """Return a digest of an image's class and name. It does not depend on the machine."""
    return hashlib.sha256(f"{file.class_name}\0{file.name}".encode("utf-8", "surrogatepass")).digest()


def join_units(images: Sequence[Labeled]) -> list[list[Labeled]]:
    """Return the images that must stay together: those with the same content, or in the same group."""
    parents: dict[_Node, _Node] = {}

    def find(node: _Node) -> _Node:
        while (parent := parents.setdefault(node, node)) != node:
            parents[node] = node = parents[parent]
        return node

    for image in images:
        if image.group is not None:
            parents[find(("digest", image.digest))] = find(("group", image.group))
    units: defaultdict[_Node, list[Labeled]] = defaultdict(list)
    for image in images:
        units[find(("digest", image.digest))].append(image)
    return list(units.values())


def rank_digest(digest: bytes, seed: int) -> bytes:
    """Return a value that puts digests in a random order, which depends only on the digests and the seed."""
    return hashlib.blake2b(f"{seed}/{digest.hex()}".encode(), digest_size=16).digest()
