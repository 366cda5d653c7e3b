"""Fetch a small file from a web server into memory."""

from __future__ import annotations

from functools import partial

from zoo.errors import DownloadError
from zoo.files.download import is_offline
from zoo.files.http import TransferFailed, open_url
from zoo.files.limit import Limit
from zoo.files.retry import retry
from zoo.progress import Progress


def fetch_bytes(url: str, limit: Limit, progress: Progress) -> bytes:
    """Return the content of the file at a URL. It is stored nowhere.

    Args:
        url: An https:// URL, or an http:// URL of this machine.
        limit: Maximum size.
        progress: Receives messages about further attempts.

    Raises:
        DownloadError: If the file cannot be fetched. The message is a clause that does not contain the URL.
    """
    if is_offline():
        raise DownloadError("ZOO_OFFLINE is set; unset it to fetch images")
    try:
        return retry(partial(_receive, url, limit), progress.say)
    except TransferFailed as failure:
        raise DownloadError(str(failure)) from failure


def _receive(url: str, limit: Limit) -> bytes:
    response = open_url(url, 0)
    with response.body:
        _refuse_excess(response.length or 0, limit)  # before anything is transferred
        data = bytearray()
        for chunk in response.chunks():
            data += chunk
            _refuse_excess(len(data), limit)
    return bytes(data)


def _refuse_excess(size: int, limit: Limit) -> None:
    if size > limit.read():
        raise TransferFailed(f"it has {limit.explain(size)}")
