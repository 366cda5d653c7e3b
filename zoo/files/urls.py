"""The URLs of files, and the names of the files at them.

``hf://owner/name/file`` is the newest version of a file on the Hugging Face Hub, or on the server that ``HF_ENDPOINT``
names.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote, urlsplit

from zoo.errors import DownloadError

_ASCII = "".join(map(chr, range(128)))


def web_address(url: str) -> str:
    """Return the https URL of ``url``, which may be ``hf://owner/name/file``. Raises DownloadError."""
    if not url.startswith("hf://"):
        return url if url.isascii() else _encode(url)
    owner, name, file = split_hub_url(url)
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"{hub.rstrip('/')}/{quote(owner)}/{quote(name)}/resolve/main/{quote(file)}"


def file_name(url: str) -> str:
    """Return the last part of the path of ``url``, still percent-encoded, which is also torch.hub's file name."""
    return re.split(r"[?#]", url, maxsplit=1)[0].rpartition("/")[2]


def cache_name(url: str) -> str:
    """Return a short, readable name for the file at ``url``, which is valid in every file system but not unique."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", file_name(url))[-80:]


def split_hub_url(url: str) -> tuple[str, str, str]:
    """Return the owner, the name and the file (a relative path) of ``hf://owner/name/file``. Raises DownloadError."""
    parts = url.removeprefix("hf://").split("/")
    if len(parts) < 3 or any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise DownloadError(f"Cannot fetch {url}: a URL on the Hub has the form hf://owner/name/file")
    return parts[0], parts[1], "/".join(parts[2:])


def _encode(url: str) -> str:
    """Percent-encode the non-ASCII characters of the path and the query. A host name has an encoding of its own."""
    parts = urlsplit(url)
    path, query = (quote(part, safe=_ASCII, errors="surrogateescape") for part in (parts.path, parts.query))
    return parts._replace(path=path, query=query).geturl()
