"""Obey the permissions of files even if the tests run as root."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

#: Version of the header of ``capget`` and ``capset``.
_VERSION = 0x20080522
#: Mask without CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2), with which root ignores permissions.
_OBEYING = ~(1 << 1 | 1 << 2) & 0xFFFFFFFF


@contextmanager
def obeying_permissions() -> Iterator[None]:
    """Return a context in which this thread, and those that it starts, obey the permissions of files.

    The test is skipped if this is impossible.
    """
    if os.name != "nt" and os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root ignores the permissions of files")
    before = _read()
    _write([before[0] & _OBEYING, *before[1:]])
    try:
        yield
    finally:
        _write(before)


def _read() -> list[int]:
    """Return the effective, permitted and inheritable capabilities of this thread, each as two words of 32 bits."""
    data = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capget((ctypes.c_uint32 * 2)(_VERSION, 0), data):
        pytest.skip("the capabilities of the process cannot be read")
    return list(data)


def _write(words: list[int]) -> None:
    if ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)(*words)):
        pytest.skip("the capabilities of the process cannot be changed")
