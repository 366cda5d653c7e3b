"""Attempt a download several times, with increasing waits, and wait longer if the server asks for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from time import monotonic, sleep
from typing import TypeVar

from zoo.files.http import TransferFailed
from zoo.files.limits import DOWNLOAD_TRIES, RETRY_SECONDS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and for how long a file is attempted, if that is less than `zoo.files.limits` allows."""

    tries: int
    #: Seconds from the beginning of the first attempt within which the last one must begin.
    seconds: int


def retry(attempt: Callable[[], T], say: Callable[[str], None], patience: Patience | None = None) -> T:
    """Call ``attempt`` until it succeeds, and return its result.

    The waits between attempts are 1, 2, 4, 8 seconds and so on, or longer if the server asks for it.

    Args:
        attempt: Function that raises TransferFailed if it fails.
        say: Function that receives a line before each wait.
        patience: Bounds for files that the user waits for; None means only the limits.

    Raises:
        TransferFailed: If an attempt fails permanently, all attempts fail, or the server asks for too long a wait.
    """
    tries = min(DOWNLOAD_TRIES.read(), patience.tries) if patience else DOWNLOAD_TRIES.read()
    started = monotonic()
    number = 1
    while True:
        try:
            return attempt()
        except TransferFailed as failure:
            if not failure.can_retry or number >= tries:
                raise
            if patience:
                _refuse_wait(failure, patience.seconds - (monotonic() - started))
            seconds = _choose_wait(failure, number)
            number += 1
            say(f"{failure}; trying again in {seconds:,} s (attempt {number} of {tries})")
            sleep(seconds)


def _refuse_wait(failure: TransferFailed, left: float) -> None:
    """Raise TransferFailed if the shortest wait before another attempt is longer than the seconds that are left."""
    asked = read_retry_after(failure.headers) if failure.headers else 0
    if max(asked, 1) > left:
        asks = f"; the server asks to wait {asked:,} seconds" if asked else ""
        raise TransferFailed(f"{failure}{asks}; try again later", is_outage=failure.is_outage) from failure


def _choose_wait(failure: TransferFailed, number: int) -> int:
    asked = read_retry_after(failure.headers) if failure.headers else 0
    if asked > RETRY_SECONDS.read():
        raise TransferFailed(
            f"{failure}; the server asks to wait {RETRY_SECONDS.explain(asked)}, or try again later",
            is_outage=failure.is_outage,
        ) from failure
    return max(asked, min(1 << (number - 1), RETRY_SECONDS.read()))


def read_retry_after(headers: Message) -> int:
    """Return the seconds that ``Retry-After`` asks to wait, or 0 if it is missing, invalid or in the past.

    A time is compared with the server's own clock, because the clock of this machine may be wrong.
    """
    text = str(headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdecimal():
        return int(text[:18])
    until = _read_date(text)
    now = _read_date(str(headers.get("Date") or "")) or dt.datetime.now(dt.UTC)
    return max(0, round((until - now).total_seconds())) if until else 0


def _read_date(text: str) -> dt.datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.UTC)
