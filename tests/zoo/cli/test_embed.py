from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zoo.registry.registry import Registry

Main = Callable[..., int]


@pytest.fixture
def run(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo embed`` with only acme installed, and return the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("embed", *arguments, "--device", "cpu")


def test_the_path_of_the_file_is_printed(
    run: Main, folder: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "val" / "broken.png").write_bytes(b"no image")
    path = tmp_path / "f.npy"
    assert run(folder, photos / "val", "--output", path) == 0
    out, err = capfd.readouterr()
    assert out == f"{path}\n"
    assert "broken.png: a text file" in err
    assert np.load(path).shape == (10, 12)
    assert len(path.with_suffix(".csv").read_text(encoding="utf-8").splitlines()) == 11


def test_json_has_the_documented_keys(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.csv"
    arguments = ("acme/net", photos / "val", "--weights", "none", "--block", "stem", "--output", path, "--json")
    assert run(*arguments) == 0
    assert json.loads(capfd.readouterr().out) == {"output": str(path), "images": 10, "width": 8, "left_out": []}


def test_an_unsuitable_output_is_refused_before_the_images_are_read(
    run: Main, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, tmp_path / "gone", "--output", tmp_path / "f.txt") == 1
    assert capfd.readouterr().err.startswith("Error: --output ")
