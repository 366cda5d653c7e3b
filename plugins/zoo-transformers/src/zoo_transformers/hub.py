"""Fetch the small files of a repository on the Hugging Face Hub. Nothing in them is ever run.

huggingface_hub decides about the server, the login and the cache folder, so transformers uses the same copies.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

#: Largest size of a configuration that is read, in bytes. Lists of many labels take up to a few million.
MOST_BYTES = 16 * 1024 * 1024


def fetch_json(repository: str, file: str) -> dict[str, Any] | None:
    """Return the content of a JSON file in a repository, or None if there is no such repository or file.

    Raises:
        OSError: If the file cannot be fetched, or if it is not in the cache and ``ZOO_OFFLINE`` is set.
        ValueError: If the file is not a JSON object.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        path = hf_hub_download(repository, file, local_files_only=_is_offline(), library_name="zoo-transformers")
    except LocalEntryNotFoundError as error:
        raise OSError(f"{file} of {repository} is not in the cache, and the Hub cannot be reached") from error
    except (EntryNotFoundError, RepositoryNotFoundError):
        return None
    return _read_json(Path(path), f"{file} of {repository}")


def _is_offline() -> bool:
    return os.environ.get("ZOO_OFFLINE", "") not in {"", "0"}


def _read_json(path: Path, shown: str) -> dict[str, Any]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{shown} is larger than {MOST_BYTES:,} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{shown} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004  # the content is wrong, not an argument
            f"{shown} contains a {type(content).__name__}, not an object"
        )
    return content
