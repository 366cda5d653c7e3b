"""The kit raises no false alarm for networks that are unusual, and right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from specimens.install import install
from specimens.judge import settings_kept
from specimens.unusual import list_names

from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.results.result import BAD
from zoo.testing.runner import check_backbone


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginUnderTest]:
    folder: Path = tmp_path_factory.mktemp("unusual")
    install(folder, "unusual", "specimens.unusual")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield examine("unusual")


@pytest.mark.parametrize("name", list_names())
def test_an_unusual_network_keeps_every_promise(unusual: PluginUnderTest, name: str) -> None:
    with settings_kept():
        results = check_backbone(unusual, unusual.get_backbone(f"unusual/{name}"))
    assert [result for result in results if result.status in BAD] == []
    claimed = {result.check for result in results if result.status == "pass"}
    assert {"learn.all", "save.roundtrip", "freeze.still"} <= claimed
