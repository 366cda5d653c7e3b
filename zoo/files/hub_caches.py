"""Find weights that other tools have already downloaded: torch.hub (for torchvision) and huggingface_hub (for timm).

zoo only reads these caches. It locates the folders in the same way as these tools.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from zoo.files.cache import user_cache_folder
from zoo.files.urls import file_name, split_hub_url


def find_in_torch_cache(url: str) -> Iterator[Path]:
    """Yield the file in torch.hub's cache with the name that ``url`` ends with, if any.

    The cache does not record the URLs of files.
    """
    home = os.environ.get("TORCH_HOME") or user_cache_folder() / "torch"
    found = Path(home).expanduser() / "hub" / "checkpoints" / file_name(url)
    if found.is_file():
        yield found


def find_in_hub_cache(url: str) -> Iterator[Path]:
    """Yield the files that huggingface_hub saved for ``hf://owner/name/file``: first ``main``, then newest first.

    Raises:
        DownloadError: If ``url`` does not have that form.
    """
    owner, name, file = split_hub_url(url)
    repository = _hub_cache() / f"models--{owner}--{name}"
    snapshots = repository / "snapshots"
    main = repository / "refs" / "main"
    current = snapshots / main.read_text().strip() / file if main.is_file() else None
    found = [path for path in snapshots.glob(f"*/{glob.escape(file)}") if path.is_file()]
    yield from sorted(found, key=lambda path: (path == current, path.stat().st_mtime), reverse=True)


def _hub_cache() -> Path:
    if folder := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(os.path.expandvars(folder)).expanduser()
    home = os.environ.get("HF_HOME") or str(user_cache_folder() / "huggingface")
    return Path(os.path.expandvars(home)).expanduser() / "hub"
