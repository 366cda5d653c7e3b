from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from zoo.garbage import lasting, uncollected


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("context", [lasting, uncollected])
def test_garbage_waits(context: Callable[[], AbstractContextManager[None]]) -> None:
    with context():
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("context", [lasting, uncollected])
def test_it_does_not_wait_for_ever_after_an_error(context: Callable[[], AbstractContextManager[None]]) -> None:
    with pytest.raises(ImportError), context():
        raise ImportError
    assert gc.isenabled()


def test_it_is_left_alone_where_it_was_off_before() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_what_was_imported_is_not_looked_through_again() -> None:
    with lasting():
        made: list[list[int]] = [[] for _ in range(1000)]
    assert gc.get_freeze_count() > len(made)
