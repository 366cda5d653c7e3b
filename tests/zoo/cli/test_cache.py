from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.engine.features.feature_store import store_rows
from zoo.files.cache import KINDS

Main = Callable[..., int]

ABOUT = {"backbone": "acme/net", "images": ["a", "b", "c", "d"], "view": 1, "hardware": ["cpu", "fp32"]}
FEATURES = f"{'c' * 64}.safetensors"
NAMES = {"weights": f"{'a' * 16}-net.safetensors", "data": "b" * 64}


def nested_about() -> bytes:
    """Return a features file whose description has the right keys, but other types."""
    header = json.dumps({"__metadata__": {"about": json.dumps({"backbone": 1, "images": 2, "hardware": []})}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.fixture
def filled(own_cache: Path) -> Path:
    store_rows(ABOUT, 4, [torch.zeros(4, 3)])
    for kind, name in NAMES.items():
        (own_cache / kind / name).mkdir(parents=True)
        (own_cache / kind / name / "file").write_bytes(b"x" * 5000)
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
        *NAMES.items(),
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


@pytest.mark.parametrize("content", [b"\xff" * 20, b"\x10\x27" + bytes(6) + b"[" * 10_000, nested_about()])
def test_a_damaged_file_is_listed_by_its_name(
    run: Main, own_cache: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (own_cache / "features").mkdir(parents=True)
    (own_cache / "features" / FEATURES).write_bytes(content)
    assert run("cache", "list") == 0
    assert FEATURES in capsys.readouterr().out


def test_a_named_pipe_is_listed_and_not_opened(run: Main, own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_cache / "features").mkdir(parents=True)
    os.mkfifo(own_cache / "features" / FEATURES)
    assert run("cache", "list") == 0
    assert FEATURES in capsys.readouterr().out


@pytest.mark.parametrize("kind", [*KINDS])
def test_clear_keeps_files_that_zoo_did_not_create(
    run: Main, filled: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    own = filled / kind / "cats" / "1.jpg"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.touch()
    assert run("cache", "clear", "all") == 0
    assert own.exists()
    assert f"kept {own.parent}, which zoo did not create" in capsys.readouterr().err


def test_clear_refuses_a_folder_in_which_nothing_comes_from_zoo(
    run: Main, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ants", "bees"):
        (own_cache / "data" / name).mkdir(parents=True)
    assert run("cache", "clear", "all") == 1
    assert f"zoo did not create {own_cache / 'data' / 'ants'} and 1 more" in capsys.readouterr().err
    assert len([*(own_cache / "data").iterdir()]) == 2


def test_clear_refuses_a_linked_subfolder(
    run: Main, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = (filled / "data").rename(tmp_path / "elsewhere")
    (filled / "data").symlink_to(elsewhere)
    assert run("cache", "clear", "all") == 1
    assert f"{filled / 'data'} is a link" in capsys.readouterr().err
    assert (elsewhere / NAMES["data"] / "file").exists()


def test_clear_removes_a_link_and_keeps_what_it_refers_to(run: Main, filled: Path, tmp_path: Path) -> None:
    elsewhere = (filled / "data" / NAMES["data"]).rename(tmp_path / "elsewhere")
    link = filled / "data" / NAMES["data"]
    link.symlink_to(elsewhere)
    assert run("cache", "clear", "all") == 0
    assert not link.is_symlink()
    assert (elsewhere / "file").exists()
