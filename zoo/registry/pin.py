"""The digest with which a plugin pins a weights file."""

from __future__ import annotations

from zoo.files.digest import Digest
from zoo.files.urls import file_name
from zoo.plugin import WeightsSpec


def find_digest(weights: WeightsSpec) -> Digest | None:
    """Return the digest of the file that zoo reads, or None if its plugin pins none."""
    if weights.sha256 is not None:
        return Digest("sha256", weights.sha256)
    if weights.sha1 is not None:
        return Digest("sha1", weights.sha1)
    return None if weights.md5 is None else Digest("md5", weights.md5)


def name_weights_file(weights: WeightsSpec) -> str:
    """Return the name of the file that zoo reads: the last part of the URL, or of the path in the archive."""
    return file_name(str(weights.url)) if weights.member is None else weights.member.rpartition("/")[2]


def describe_weak_pin(weights: WeightsSpec) -> str | None:
    """Return what a weak digest does not prove, as a sentence without a period, or None if the digest is not weak."""
    digest = find_digest(weights)
    if digest is None or not digest.is_weak:
        return None
    return (
        f"weights {weights.tag} are pinned only by {digest.name}, which is weak: it shows damage, but the "
        "publisher may have made two files with the same digest"
    )
