from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a cache that all tests share, because drawing the images of suns_moons takes seconds."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # With such a small network, more threads only wait for each other.


@pytest.fixture
def killing(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which another tracker kills the process after the third epoch."""
    site = tmp_path / "site"
    package = site / "zoo_zz-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Name: zoo-zz\nVersion: 1.0\n", encoding="utf-8")
    (package / "entry_points.txt").write_text("[zoo]\nzz = zoo_zz\n", encoding="utf-8")
    (site / "zoo_zz.py").write_text(
        "import os, signal\n"
        "from zoo.plugin import hookimpl\n\n"
        "ZOO_API = 1\n\n\n"
        "@hookimpl\n"
        "def zoo_epoch_ended(epoch):\n"
        "    if epoch['epoch'] == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
