"""Finds weights that other tools have already fetched: torch.hub (so torchvision) and huggingface_hub (so timm).

Their caches are looked into, never written to. The folders are found as these tools themselves find them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from zoo.files.http import file_name, split_hub_url


def find_in_torch_cache(url: str) -> Iterator[Path]:
    """Yield what torch.hub fetched under this file name, if anything: its cache forgets where files came from."""
    home = os.environ.get("TORCH_HOME") or _xdg_cache() / "torch"
    found = Path(home).expanduser() / "hub" / "checkpoints" / file_name(url)
    if found.is_file():
        yield found


def find_in_hub_cache(url: str) -> Iterator[Path]:
    """Yield what huggingface_hub fetched of ``hf://owner/name/file``: revision ``main`` first, then newest first.

    Raises DownloadError when ``url`` is not of that form.
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
    home = os.environ.get("HF_HOME") or str(_xdg_cache() / "huggingface")
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def _xdg_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
