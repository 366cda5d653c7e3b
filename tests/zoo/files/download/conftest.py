from __future__ import annotations

from pathlib import Path

import pytest

from zoo.files import download


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)


@pytest.fixture(name="target")
def _target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.bin"
