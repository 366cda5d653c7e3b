"""The garbage collector is paused while a data set is listed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from zoo.data.collector import pausing_collector
from zoo.data.split_off import split_off
from zoo.data.unexamined import find_files
from zoo.progress import Silent


@pytest.fixture(params=[True, False], ids=["on", "off"])
def is_enabled(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the collector is on before the pause."""
    was_enabled = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was_enabled else gc.disable)()


def test_the_collector_is_as_before_after_a_pause_that_ends_with_an_error(is_enabled: bool) -> None:  # noqa: FBT001
    @pausing_collector()
    def fail() -> None:
        raise KeyError(gc.isenabled())

    with pytest.raises(KeyError, match="False"):
        fail()
    assert gc.isenabled() == is_enabled


def test_the_collector_is_paused_while_files_are_found_and_divided(is_enabled: bool) -> None:  # noqa: FBT001
    seen: list[bool] = []

    class Files(list):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[object]:
            seen.append(gc.isenabled())
            return super().__iter__()

    find_files(Files(), {}, Silent())
    split_off(Files(), {}, 0)
    assert seen
    assert not any(seen)
    assert gc.isenabled() == is_enabled
