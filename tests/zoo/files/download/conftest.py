from __future__ import annotations

from pathlib import Path

import pytest

from zoo.files import retry


@pytest.fixture(name="waits", autouse=True)
def _waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts in seconds, which are recorded instead of taking place."""
    waits: list[float] = []
    monkeypatch.setattr(retry, "sleep", waits.append)
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    return waits


@pytest.fixture(name="target")
def _target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.bin"
