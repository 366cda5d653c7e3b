"""Fetches a file by https: checked, resumed where an earlier attempt broke off, shared by many processes without locks.

A file appears under its final name when it is whole and verified, or not at all. So what exists is complete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from zoo.errors import DownloadError
from zoo.files.http import Answer, TransferFailed, ask, file_name
from zoo.files.resumable import Partial, PartialLost, open_partial, sweep_partials
from zoo.progress import Progress

#: How often a server that breaks off is asked, and the seconds between.
TRIES = 3
PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be fetched, and what it must be."""

    url: str
    target: Path
    sha256: str | None
    size: int | None

    def error(self, reason: str, advice: str = "Try again") -> DownloadError:
        return DownloadError(f"Cannot fetch {self.url}: {reason}. {advice}, or save the file yourself as {self.target}")


def is_offline() -> bool:
    """Tell whether ``ZOO_OFFLINE`` forbids to ask any server."""
    return os.environ.get("ZOO_OFFLINE", "") not in {"", "0"}


def sha256_of(path: Path) -> str:
    """Return the 64 hex digits of the file's SHA-256. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, target: Path, *, sha256: str | None, size: int | None, progress: Progress) -> Path:
    """Fetch ``url`` (https or hf) and return ``target``, at once where that exists.

    ``sha256`` is all 64 hex digits or the first 8 or more; ``size`` is in bytes. Without ``sha256`` a file on the Hub
    is checked against the digest that the Hub states, and any other only for its length. Raises DownloadError.
    """
    wanted = _Wanted(url, target, sha256, size)
    if target.exists():
        sweep_partials(target)
        return target
    if is_offline():
        raise wanted.error("ZOO_OFFLINE is set, and the file is not on this machine", "Unset ZOO_OFFLINE")
    progress.say(f"fetching {url}")
    for left in reversed(range(TRIES)):
        try:
            _fetch_once(wanted, progress)
        except PartialLost:
            pass  # mostly because another process has finished the file
        except TransferFailed as failure:
            if not (failure.again and left):
                raise wanted.error(str(failure)) from failure
            time.sleep(PAUSE)
        except OSError as error:  # of the disk: those of the network are TransferFailed
            raise wanted.error(f"{target.parent} cannot be written to ({error.strerror or error})") from error
        if target.exists():
            return target
    raise wanted.error("other processes keep taking the unfinished file")


def _fetch_once(wanted: _Wanted, progress: Progress) -> None:
    # Only a digest tells whether the bytes of two attempts belong together.
    resume = wanted.sha256 is not None or wanted.url.startswith("hf://")
    with open_partial(wanted.target, resume=resume) as partial:
        answer = _open_answer(wanted, partial.size)
        with answer.body:
            _receive(wanted, answer, partial, progress)
        _verify(wanted, answer, partial)


def _open_answer(wanted: _Wanted, start: int) -> Answer:
    answer = ask(wanted.url, start)
    if answer.start and not (wanted.sha256 or answer.sha256):
        answer.body.close()  # a file of the Hub that comes without a digest after all
        return ask(wanted.url, 0)
    return answer


def _receive(wanted: _Wanted, answer: Answer, partial: Partial, progress: Progress) -> None:
    if answer.start == 0:
        partial.restart()
    folder = wanted.target.parent
    if answer.length is not None and answer.length > shutil.disk_usage(folder).free:
        _refuse_space(folder, answer.length)
    total = wanted.size if answer.length is None else answer.start + answer.length
    with progress.track(f"fetching {file_name(wanted.url)}", total) as advance:
        advance(answer.start)
        for chunk in answer.chunks():
            try:
                partial.append(chunk)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    _refuse_space(folder, total and total - partial.size)
                raise
            advance(len(chunk))


def _verify(wanted: _Wanted, answer: Answer, partial: Partial) -> None:
    expected = wanted.sha256 or answer.sha256
    wrong = None
    if wanted.size is not None and partial.size != wanted.size:
        wrong = f"it is {partial.size:,} bytes long, not {wanted.size:,}"
    elif expected is not None:
        found = partial.sha256()
        wrong = None if found.startswith(expected.lower()) else f"its SHA-256 is {found}, not {expected}"
    if wrong:
        partial.restart()
        advice = "the file has changed since it was published, or on its way here"
        raise TransferFailed(f"{wrong}; {advice}", again=answer.start > 0)


def _refuse_space(folder: Path, needed: int | None) -> NoReturn:
    free = shutil.disk_usage(folder).free
    wants = "more" if needed is None else f"{needed:,} bytes more"
    raise TransferFailed(f"the disk is full: {folder} needs {wants} and has {free:,} free; ZOO_CACHE moves the cache")
