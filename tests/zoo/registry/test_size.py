"""The cost of listing, counted in function calls because times depend on the machine."""

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

#: Backbones of twelve blocks each; every sixth one creates its own blocks, the others share theirs.
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
    """Disable the cache, so that other tests do not see these plugins."""
    monkeypatch.setattr(zoo.registry.registry, "open_registry", open_registry.__wrapped__)


def count_calls(function: Callable[[], Any]) -> int:
    """Count the function calls during a call, including those of C functions."""
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


def test_the_cost_of_listing_is_linear_in_the_number_of_backbones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    for count in (300, 3000):
        site.add(f"many{count}", MANY.replace("COUNT", str(count)))
    monkeypatch.syspath_prepend(str(site.folder))
    calls = {}
    for count in (300, 3000):
        monkeypatch.setenv("ZOO_LOAD_PLUGINS", f"many{count}")
        assert list_all() == count  # so that first-time imports are not counted
        calls[count] = count_calls(list_all)
    assert calls[3000] <= 10 * calls[300]
    # 231 when this was written, for four specs per backbone.
    assert calls[3000] / 3000 < 235


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("source", ["raise ValueError\n", "import gc\ngc.collect()\nraise KeyboardInterrupt\n"])
def test_opening_the_registry_keeps_the_state_of_the_garbage_collector(
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
