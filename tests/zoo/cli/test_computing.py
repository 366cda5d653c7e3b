from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from zoo.cli.process import computing
from zoo.engine import allocator


@pytest.fixture(autouse=True)
def _own_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(allocator, "keep_freed", lambda: None)  # which could not be taken back
    yield
    gc.unfreeze()
    gc.enable()


def test_the_garbage_collector_is_off_meanwhile() -> None:
    with computing():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_on_again_after_an_error() -> None:
    with pytest.raises(ImportError), computing():
        raise ImportError
    assert gc.isenabled()


def test_it_stays_off_if_it_was_off_before() -> None:
    gc.disable()
    with computing():
        pass
    assert not gc.isenabled()


def test_what_was_imported_is_never_looked_at_again() -> None:
    with computing():
        made: list[list[int]] = [[] for _ in range(1000)]
    assert gc.get_freeze_count() > len(made)
