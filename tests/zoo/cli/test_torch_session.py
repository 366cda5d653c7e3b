from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from zoo.cli.process import torch_session, without_garbage_collection
from zoo.engine import allocator


@pytest.fixture(autouse=True)
def _own_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: None)  # because it cannot be undone
    yield
    gc.enable()


def test_the_garbage_collector_is_off_during_the_import() -> None:
    with without_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_garbage_collector_is_on_again_after_an_error() -> None:
    with pytest.raises(ImportError), without_garbage_collection():
        raise ImportError
    assert gc.isenabled()


def test_the_garbage_collector_stays_off_if_it_was_off() -> None:
    gc.disable()
    with without_garbage_collection():
        pass
    assert not gc.isenabled()


def test_imported_objects_are_excluded_from_collections() -> None:
    before = gc.get_freeze_count()
    with without_garbage_collection():
        made: list[list[int]] = [[] for _ in range(1000)]
    assert gc.get_freeze_count() - before > len(made)


def test_torch_is_imported_after_the_plugins_and_output_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with torch_session() as (registry, _):
        sys.stdout.write("what upstream prints\n")
    assert {plugin.state for plugin in registry.plugins} == {"ok"}
    assert capsys.readouterr() == ("", "what upstream prints\n")
