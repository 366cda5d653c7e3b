"""Weights in the caches of torch.hub and huggingface_hub are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from torch import hub

from zoo.files.hub_caches import find_in_hub_cache, find_in_torch_cache

VARIABLES = ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write(path: Path, content: str = "weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize("variable", [None, "XDG_CACHE_HOME", "TORCH_HOME"])
def test_the_torch_cache_is_found_where_torch_stores_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    expected = write(Path(hub.get_dir()) / "checkpoints" / "net%20a.pth")
    assert list(find_in_torch_cache("https://example.com/a/net%20a.pth?download=1")) == [expected]
    assert list(find_in_torch_cache("https://example.com/a/other.pth")) == []


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        (None, ".cache/huggingface/hub"),
        ("XDG_CACHE_HOME", "elsewhere/huggingface/hub"),
        ("HF_HOME", "elsewhere/hub"),
        ("HUGGINGFACE_HUB_CACHE", "elsewhere"),
        ("HF_HUB_CACHE", "elsewhere"),
    ],
)
def test_the_hub_cache_is_found_where_huggingface_hub_stores_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str | None, folder: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    expected = write(tmp_path / folder / "models--timm--net" / "snapshots" / "0a1b" / "a" / "model.safetensors")
    assert list(find_in_hub_cache("hf://timm/net/a/model.safetensors")) == [expected]
    assert list(find_in_hub_cache("hf://timm/net/model.safetensors")) == []
    assert list(find_in_hub_cache("hf://timm/other/a/model.safetensors")) == []


def test_main_comes_first_and_then_the_newest_revision(tmp_path: Path) -> None:
    repository = tmp_path / ".cache/huggingface/hub/models--o--n"
    found = {}
    for age, revision in enumerate(("newest", "newer", "main", "oldest")):
        found[revision] = write(repository / "snapshots" / revision / "f[1].bin")
        os.utime(found[revision], (10**9 - age, 10**9 - age))
    newest_first = [found[name] for name in ("newest", "newer", "main", "oldest")]
    assert list(find_in_hub_cache("hf://o/n/f[1].bin")) == newest_first
    write(repository / "refs" / "main", "main\n")
    assert list(find_in_hub_cache("hf://o/n/f[1].bin")) == [
        found[name] for name in ("main", "newest", "newer", "oldest")
    ]
    write(repository / "refs" / "main", "missing")
    assert list(find_in_hub_cache("hf://o/n/f[1].bin")) == newest_first


def test_broken_links_and_folders_are_not_returned(tmp_path: Path) -> None:
    snapshot = tmp_path / ".cache/huggingface/hub/models--o--n/snapshots/main"
    snapshot.mkdir(parents=True)
    (snapshot / "f.bin").symlink_to("../../blobs/gone")
    (snapshot / "folder").mkdir()
    assert list(find_in_hub_cache("hf://o/n/f.bin")) == []
    assert list(find_in_hub_cache("hf://o/n/folder")) == []
