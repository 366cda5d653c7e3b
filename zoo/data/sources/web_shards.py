"""Shards at web addresses: ``https://host/train-{000..099}.tar``. They are fetched once, then read from this disk."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zoo.data.listing import show_names
from zoo.data.sources.shard_names import expand_pattern, is_pattern
from zoo.errors import DataError
from zoo.files.atomic import atomic_write
from zoo.files.cache import cache_folder, writing_cache
from zoo.files.download import fetch_versioned, has_changed, sha256_of
from zoo.files.remote_version import forget_version_of
from zoo.files.safe_tar import SafeTar

if TYPE_CHECKING:
    from zoo.progress import Progress

#: Version of the rules for shards. Increase it when the rules change, so that older shards are fetched again.
RULES = 2
#: File beside the fetched shards with the SHA-256 and the name of each of them, as ``sha256sum`` prints them.
SUMS = "SHA256SUMS"


def is_shard_url(url: str) -> bool:
    """Return whether a URL stands for several shards."""
    return is_pattern(Path(urlsplit(url).path))


def fetch_shards(url: str, sha256: str | None, progress: Progress) -> tuple[Path, str]:
    """Fetch the shards that are not in the cache folder yet.

    Args:
        url: URL of .tar files with braces in the name of the file.
        sha256: Expected SHA-256 in hex of what ``sha256sum`` prints for all shards in the order of their names; None
            means that any shards are accepted.
        progress: Where to report progress.

    Returns:
        The folder of the shards and their SHA-256.

    Raises:
        DataError: If the pattern is invalid, a file is not a complete shard, the shards have another SHA-256, or a
            shard changed on the server while the others were fetched.
        DownloadError: If a shard cannot be fetched.
    """
    parts = urlsplit(url)
    parent, _, pattern = parts.path.rpartition("/")
    names = sorted(set(expand_pattern(pattern)))
    key = hashlib.sha256(f"{url}\0shards".encode()).hexdigest()
    folder = cache_folder() / "data" / f"{key}-{RULES}"
    sums = folder / SUMS
    if not sums.is_file():
        with writing_cache(folder):
            folder.mkdir(parents=True, exist_ok=True)
        shards = {folder / name: parts._replace(path=f"{parent}/{name}").geturl() for name in names}
        with progress.track("fetching shards", len(shards)) as advance:
            for path, address in shards.items():
                _fetch_shard(address, path, progress)
                advance(1)
        if sha256 is None:  # Otherwise, the SHA-256 shows whether the shards belong together.
            _refuse_changed(shards, progress)
        with writing_cache(folder), atomic_write(sums) as partial:
            partial.write_text(_list_sums(folder, names), encoding="utf-8", newline="\n")
        for path in shards:
            forget_version_of(path)
    found = sha256_of(sums)
    if sha256 not in (None, found):
        raise DataError(
            f"the shards of {url!r} have the SHA-256 {found}, not {sha256}; "
            f"to fetch them again, remove {str(folder)!r}."
        )
    return folder, found


def _fetch_shard(url: str, path: Path, progress: Progress) -> None:
    fetch_versioned(url, path, progress)
    try:
        with SafeTar.open(path, "r:") as shard:
            for _ in shard:
                shard.members.clear()  # Otherwise, tarfile keeps all members in memory.
            shard.check_end()
    except tarfile.TarError as error:
        path.unlink(missing_ok=True)  # It may be an error page of the server. The next attempt fetches it again.
        raise DataError(
            f"{url!r} is not a complete shard ({error}). A shard is an uncompressed .tar archive."
        ) from error


def _refuse_changed(shards: Mapping[Path, str], progress: Progress) -> None:
    """Refuse shards of which the server has another version by now, because they may not belong together.

    There may be days between the first and the last shard, if the download was interrupted.
    """
    changed = [path for path, url in shards.items() if has_changed(url, path, progress)]
    for path in changed:
        path.unlink(missing_ok=True)
    if changed:
        raise DataError(
            f"{len(changed)} of {len(shards)} shards changed on the server after they were fetched: "
            f"{show_names(path.name for path in changed)}; try again, and zoo fetches them again."
        )


def _list_sums(folder: Path, names: Sequence[str]) -> str:
    return "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names)
