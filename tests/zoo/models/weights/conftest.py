from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weights_files import TENSORS


@pytest.fixture(autouse=True)
def _own_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(name="pickle")
def _pickle(tmp_path: Path) -> Path:
    path = tmp_path / "net.pth"
    torch.save(TENSORS, path)
    return path
