"""What listing costs, counted in calls, since times depend on the machine."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo.cli.list
import zoo.registry.registry
from installed_sites import PREAMBLE, Site
from zoo.registry.registry import open_registry

#: A dozen blocks each, one in six its own.
MANY = f"""{PREAMBLE}
def blocks():
    return tuple(BlockSpec(f"block{{place}}", (f"blocks.{{place}}",)) for place in range(12))


@hookimpl
def zoo_backbones():
    shared = blocks()
    for number in range(COUNT):
        weights = WeightsSpec(tag="v1", url="https://example.org/w", license="MIT")
        yield spec(f"NAMESPACE/net{{number}}", blocks=blocks() if number % 6 == 0 else shared, weights=(weights,))
"""


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a registry be opened that the other tests do not see."""
    monkeypatch.setattr(zoo.registry.registry, "open_registry", open_registry.__wrapped__)


def count_calls(function: Callable[[], Any]) -> int:
    """Count the calls of functions, Python's own included, that a call leads to."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def list_all() -> int:
    listed = zoo.registry.registry.list_backbones(registry=zoo.registry.registry.open_registry())
    zoo.cli.list._format(listed)
    return len(listed)


def test_ten_times_as_many_backbones_cost_no_more_than_ten_times_as_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    for count in (300, 3000):
        site.add(f"many{count}", MANY.replace("COUNT", str(count)))
    monkeypatch.syspath_prepend(str(site.folder))
    calls = {}
    for count in (300, 3000):
        monkeypatch.setenv("ZOO_LOAD_PLUGINS", f"many{count}")
        assert list_all() == count  # what is imported for the first time is not what is counted
        calls[count] = count_calls(list_all)
    assert calls[3000] <= 10 * calls[300]
    # 165 when this was written, of a plugin that makes four specs for each.
    assert calls[3000] / 3000 < 200


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("source", ["raise ValueError\n", "import gc\ngc.collect()\nraise KeyboardInterrupt\n"])
def test_garbage_is_collected_afterwards_as_it_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, *, enabled: bool
) -> None:
    Site(tmp_path).add("bad", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ZOO_LOAD_PLUGINS", "bad")
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        zoo.registry.registry.open_registry()
    except KeyboardInterrupt:
        assert "Keyboard" in source
    finally:
        now = gc.isenabled()
        (gc.enable if was_enabled else gc.disable)()
    assert now == enabled
