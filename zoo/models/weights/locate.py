"""Locate a weights file: on this disk, in a cache, or by downloading it.

Files in the caches of other tools are used where they are, and are never written to. A pickle can run code when it is
loaded, so it is accepted only if a plugin pins a digest of that file. Everything else must be safetensors. Of a file in
an archive, only the file is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.errors import WeightsError
from zoo.files.atomic import atomic_write
from zoo.files.cache import cache_folder, writing_cache
from zoo.files.download import fetch_pinned
from zoo.files.hub_caches import find_in_hub_cache, find_in_torch_cache
from zoo.files.member import extract_member
from zoo.files.urls import cache_name
from zoo.models.weights.read import PICKLES, make_unpinned_error, read_suffix
from zoo.plugin import WeightsSpec
from zoo.progress import Progress
from zoo.registry.pin import describe_weak_pin, find_digest, name_weights_file


def locate_weights(weights: WeightsSpec, progress: Progress) -> Path:
    """Return the path of a weights file, and download the file if it is not on this machine.

    The file is looked for at its ``file:`` address, in zoo's cache, and in the caches of torch and the Hugging Face
    Hub. If a digest is pinned, a file in another tool's cache must match it. A file in torch's cache is used only if
    a digest is pinned.

    Raises:
        WeightsError: If there is no such file.
        DownloadError: If the download fails.
    """
    found, url = find_weights(weights, progress), str(weights.url)
    own = _own_path(weights, url)
    if found is not None and found != own:
        return found
    if is_refused(weights):
        raise make_unpinned_error(url)  # before a large download that could not be used
    if found is None and (weak := describe_weak_pin(weights)):
        progress.say(f"note: {weak}")
    # The size is not checked, because the published size may be rounded.
    return fetch_pinned(url, own, find_digest(weights), weights.member, progress)


def find_weights(weights: WeightsSpec, progress: Progress) -> Path | None:
    """Return the path of a weights file on this machine, or None if it must be downloaded; see `locate_weights`.

    Raises:
        WeightsError: If the file is not published, or if it is missing from its plugin.
    """
    url = weights.url
    if url is None:
        raise WeightsError(f"weights {weights.tag!r} are not published; pass a .safetensors file")
    if url.startswith("file:"):
        path = Path(url2pathname(urlsplit(url).path))
        if not path.is_file():
            raise WeightsError(f"weights {weights.tag!r} should be at {path} but are missing; reinstall their plugin")
        return path if weights.member is None else _unpack(path, weights)
    if is_refused(weights):
        return None
    own = _own_path(weights, url)
    if own.exists():
        return own
    for found in _find_elsewhere(weights, url):
        if (mismatch := _find_mismatch(found, weights)) is None:
            return found
        progress.say(f"note: ignoring {found}: {mismatch}")
    return None


def is_on_this_machine(weights: WeightsSpec) -> bool:
    """Return whether a weights file seems to be on this machine. Only its name is compared, so this is fast."""
    url = weights.url
    if url is None or is_refused(weights):
        return False
    if url.startswith("file:"):
        return True
    with suppress(WeightsError):  # The URL is invalid; loading the weights reports this.
        return _own_path(weights, url).exists() or any(_find_elsewhere(weights, url))
    return False


def is_refused(weights: WeightsSpec) -> bool:
    """Return whether zoo does not read a file, because it is a pickle that could run code."""
    return read_suffix(name_weights_file(weights)) in PICKLES and find_digest(weights) is None


def _own_path(weights: WeightsSpec, url: str) -> Path:
    return cache_folder() / "weights" / _cache_name(weights, url)


def _unpack(archive: Path, weights: WeightsSpec) -> Path:
    """Return the member of an archive on this machine, which is in the cache after the first call."""
    status, member = archive.stat(), str(weights.member)
    # A new version of the plugin may bring another archive at the same address, and wheels can fix the time of change.
    own = _own_path(weights, f"{weights.url} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}")
    if not own.exists():
        with writing_cache(own.parent):
            own.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(own) as temporary:
                extract_member(archive, member, temporary)
    return own


def _find_mismatch(path: Path, weights: WeightsSpec) -> str | None:
    """Return why a file in another tool's cache cannot be used, or None if it can."""
    try:
        digest = find_digest(weights)
        return None if digest is None else digest.find_mismatch(path)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"


def _find_elsewhere(weights: WeightsSpec, url: str) -> Iterator[Path]:
    if weights.member is not None:
        return iter(())  # these caches contain the archive
    if url.startswith("hf://"):
        return find_in_hub_cache(url)
    if find_digest(weights) is not None:
        return find_in_torch_cache(url)
    return iter(())  # files of the same name can have different content


def _cache_name(weights: WeightsSpec, url: str) -> str:
    """Return a file name that is unique for the address and the digest, and valid in every file system."""
    digest = find_digest(weights)
    inside = "" if weights.member is None else f" {weights.member}"
    identity = hashlib.sha256(f"{url} {digest.value if digest else ''}{inside}".encode()).hexdigest()
    return f"{identity[:16]}-{cache_name(weights.member or url)}"
