"""The check of labels and the ranking print hostile names of classes and files safely."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from acme import draw_photos
from hostile_names import BATCHES, list_class_names, list_file_names
from printed import check_lines

Main = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("seed", BATCHES)
def test_the_check_of_labels_prints_safely(
    run: Main, source: dict[str, Tensor], tmp_path: Path, capfd: Capture, seed: int
) -> None:
    classes, files = list_class_names(seed), list_file_names(seed)
    weights = tmp_path / "weights.safetensors"
    save_file(source, weights)
    data = tmp_path / files[0]
    draw_photos(data, per_class=2, classes=tuple(classes))
    flags = ("--labels", "--backbone", "net", "--weights", weights)
    assert run("data", "check", data, *flags, "--output", tmp_path / "sheet.html") == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    check_lines((tmp_path / "sheet.html").read_text(encoding="utf-8"))
    assert run("data", "check", data, *flags, "--json") == 0
    out = capfd.readouterr().out
    check_lines(out)
    assert len(json.loads(out)["labels"]["ranking"]) == 2 * len(classes)
    assert run("data", "check", data, *flags, "--output", tmp_path / "sheet.png") == 0
    capfd.readouterr()


@pytest.mark.parametrize("seed", BATCHES)
def test_rank_prints_safely(
    run: Main, source: dict[str, Tensor], tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, *, seed: int
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    classes, files = list_class_names(seed), list_file_names(seed)
    data, page = tmp_path / files[0], tmp_path / "page.html"
    draw_photos(data, per_class=2, classes=tuple(classes))
    weights = tmp_path / f"{files[1]}.safetensors"
    save_file(source, weights)
    candidates = (f"net={weights}", f"net={files[2]}.safetensors")
    assert run("rank", "--data", data, *candidates, "--device", "cpu", "--page", page) == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert printed.out.count("\n") == 4
    check_lines(page.read_text(encoding="utf-8"))
    assert run("rank", "--data", data, *candidates, "--device", "cpu", "--json") == 0
    out = capfd.readouterr().out
    check_lines(out)
    assert len(json.loads(out)) == 2
