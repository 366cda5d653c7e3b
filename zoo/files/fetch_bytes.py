"""Fetch a small file from a web server into memory."""

from __future__ import annotations

from concurrent.futures import Future, wait
from functools import partial
from threading import Event, Thread

from zoo.errors import DownloadError
from zoo.files.download import is_offline
from zoo.files.http import TransferFailed, open_url
from zoo.files.limit import Limit
from zoo.files.retry import Patience, retry

#: A user waits for the file, and the other files wait as well.
_PATIENCE = Patience(tries=2, seconds=5)
#: Seconds between two looks at whether the caller still wants the file.
_POLL = 0.1


def fetch_bytes(url: str, limit: Limit, stopped: Event | None = None) -> bytes:
    """Return the content of the file at a URL. It is stored nowhere.

    There are at most 2 attempts, and the second one begins at most 5 seconds after the first.

    Args:
        url: An https:// URL, or an http:// URL of this machine.
        limit: Maximum size.
        stopped: Set by another thread when the file is no longer needed. Default: it is needed.

    Raises:
        DownloadError: If the file cannot be fetched, or is no longer needed. The message is a clause that does not
            contain the URL.
    """
    if is_offline():
        raise DownloadError("ZOO_OFFLINE is set; unset it to fetch images")
    fetched: Future[bytes] = Future()
    # Nothing can interrupt a thread that waits for a server, but a daemon thread does not delay the end of the process.
    Thread(target=_fetch, args=(url, limit, fetched), name="fetch", daemon=True).start()
    while not wait([fetched], _POLL).done:
        if stopped and stopped.is_set():
            raise DownloadError("it is no longer needed")
    try:
        return fetched.result()
    except TransferFailed as failure:
        raise DownloadError(str(failure)) from failure


def _fetch(url: str, limit: Limit, fetched: Future[bytes]) -> None:
    try:
        # A message about a wait of a few seconds would only interrupt the rows of the other images.
        fetched.set_result(retry(partial(_receive, url, limit), lambda _line: None, _PATIENCE))
    except BaseException as error:  # noqa: BLE001  # It is raised in the thread that waits for the file.
        fetched.set_exception(error)


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
