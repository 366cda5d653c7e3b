"""Finds, fetches, verifies and reads a weights file.

What other tools have already downloaded is used where it is, and never written to. A pickle can run code when it is
read, so one is read only when a plugin has pinned the digest of exactly that file; all else comes as safetensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.errors import WeightsError
from zoo.files.cache import cache_folder
from zoo.files.download import fetch, sha256_of
from zoo.files.http import file_name
from zoo.files.hub_caches import find_in_hub_cache, find_in_torch_cache
from zoo.models.weights.read import PICKLES, make_unpinned_error, read_suffix
from zoo.plugin import WeightsSpec
from zoo.progress import Progress


def locate_weights(weights: WeightsSpec, progress: Progress) -> Path:
    """Return the file of ``weights``: a local one, one from a cache of ours, torch's or the Hub's, or a fetched one.

    A file in another tool's cache counts only when it fits what is pinned. Raises WeightsError, and DownloadError when
    the file has to be fetched and cannot be.
    """
    url = weights.url
    if url is None:
        raise WeightsError(f"Weights {weights.tag!r} are not published anywhere; pass them as a .safetensors file")
    if url.startswith("file:"):
        path = Path(url2pathname(urlsplit(url).path))
        if not path.is_file():
            raise WeightsError(
                f"weights {weights.tag!r} should lie at {path} and do not; reinstall the plugin they are from"
            )
        return path
    if read_suffix(file_name(url)) in PICKLES and weights.sha256 is None:
        raise make_unpinned_error(url)  # before a gigabyte is fetched that will not be read
    own = cache_folder() / "weights" / _cache_name(weights, url)
    if not own.exists():
        for found in _elsewhere(weights, url):
            if (wrong := _mismatch(found, weights)) is None:
                return found
            progress.say(f"{found} is not used: {wrong}")
    # The size that upstream states may be rounded: it is not checked.
    return fetch(url, own, sha256=weights.sha256, size=None, progress=progress)


def _mismatch(path: Path, weights: WeightsSpec) -> str | None:
    """Return what is wrong with a file of somebody else's cache, None where it fits."""
    try:
        if weights.sha256 is not None and not (found := sha256_of(path)).startswith(weights.sha256):
            return f"its SHA-256 is {found}, not {weights.sha256}"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    return None


def _elsewhere(weights: WeightsSpec, url: str) -> Iterator[Path]:
    if url.startswith("hf://"):
        return find_in_hub_cache(url)
    if weights.sha256 is not None:
        return find_in_torch_cache(url)
    return iter(())  # a name alone does not tell that it is the same file


def _cache_name(weights: WeightsSpec, url: str) -> str:
    """Return a name that no other address or digest has, and that every file system takes."""
    identity = hashlib.sha256(f"{url} {weights.sha256 or ''}".encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", file_name(url))
    return f"{identity[:16]}-{readable[-80:]}"
