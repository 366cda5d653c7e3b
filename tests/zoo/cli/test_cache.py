from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.engine.features.feature_store import store_rows

Main = Callable[..., int]

ABOUT = {"backbone": "acme/net", "images": ["a", "b", "c", "d"], "view": 1, "hardware": ["cpu", "fp32"]}


@pytest.fixture
def filled(own_cache: Path) -> Path:
    store_rows(ABOUT, 4, [torch.zeros(4, 3)])
    for kind in ("weights", "data"):
        (own_cache / kind / "one").mkdir(parents=True)
        (own_cache / kind / "one" / "file").write_bytes(b"x" * 5000)
    return own_cache


def test_list_shows_each_entry_with_its_size(run: Main, filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cache", "list") == 0
    answer = capsys.readouterr()
    assert answer.out.splitlines()[0].split() == ["KIND", "ENTRY", "BYTES", "LAST", "USED"]
    assert "acme/net, 4 images, view 1, fp32" in answer.out
    assert answer.err.startswith("3 entries, ")
    run("cache", "list", "--json")
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["kind"], entry["what"]) for entry in entries] == [
        ("features", "acme/net, 4 images, view 1, fp32"),
        ("weights", "one"),
        ("data", "one"),
    ]
    for entry in entries:
        path = Path(entry["path"])
        assert path.is_relative_to(filled)
        assert entry["bytes"] >= (path if path.is_file() else path / "file").stat().st_size


def test_list_of_an_empty_cache_has_no_table(run: Main, own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cache", "list") == 0
    assert capsys.readouterr() == ("", f"0 entries, 0 bytes in {own_cache}\n")


@pytest.mark.parametrize(
    ("arguments", "left"),
    [([], {"weights", "data"}), (["weights"], {"features", "data"}), (["all"], set())],
)
def test_clear_removes_only_the_given_kind(
    run: Main, filled: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], left: set[str]
) -> None:
    assert run("cache", "clear", *arguments) == 0
    assert capsys.readouterr().out.startswith("removed ")
    run("cache", "list", "--json")
    assert {entry["kind"] for entry in json.loads(capsys.readouterr().out)} == left
    assert filled.is_dir()


def test_a_damaged_file_is_listed_by_its_name(run: Main, own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_cache / "features").mkdir(parents=True)
    (own_cache / "features" / "odd.safetensors").write_bytes(b"\xff" * 20)
    assert run("cache", "list") == 0
    assert "odd.safetensors" in capsys.readouterr().out
