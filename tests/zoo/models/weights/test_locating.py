"""Locating a weights file on this disk, in caches and on the web."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save

import zoo
from recording_progress import RecordingProgress
from weights_files import TENSORS, same
from zoo.errors import DownloadError, WeightsError
from zoo.files.download import sha256_of
from zoo.models.weights import locate as weights_module
from zoo.models.weights.locate import find_weights, is_on_this_machine, locate_weights
from zoo.models.weights.read import read_weights
from zoo.plugin import WeightsSpec
from zoo.progress import Silent
from zoo.registry.pin import find_digest

Site = Any  # the class in conftest.py, which cannot be imported


def spec(url: str | None, sha256: str | None = None, size: int | None = None) -> WeightsSpec:
    return WeightsSpec(tag="tag", url=url, license="unknown", sha256=sha256, size=size)


def in_torch_cache(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / "torch" / "hub" / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_local_file_is_used_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a b.safetensors"
    with pytest.raises(WeightsError, match=r"should be at .*a b\.safetensors but are missing; reinstall their plugin"):
        locate_weights(spec(path.as_uri()), Silent())
    path.touch()
    assert locate_weights(spec(path.as_uri()), Silent()) == path


def test_weights_without_an_address_are_an_error() -> None:
    with pytest.raises(WeightsError, match=r"'tag' are not published; pass a \.safetensors file"):
        locate_weights(spec(None), Silent())


def test_a_file_is_downloaded_once(site: Site, tmp_path: Path, pickle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = spec(site.put("/net.pth", pickle.read_bytes()), sha256_of(pickle)[:8])
    found = locate_weights(weights, Silent())
    assert found.parent == tmp_path / "zoo" / "weights"
    assert same(read_weights(found, digest=find_digest(weights)), TENSORS)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert locate_weights(weights, Silent()) == found
    assert len(site.requests) == 1


def test_a_file_that_is_not_cached_is_an_error_offline(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(DownloadError, match="Unset ZOO_OFFLINE"):
        locate_weights(spec(site.url("/net.safetensors")), Silent())


def test_a_file_in_torch_s_cache_is_used_and_not_changed(site: Site, tmp_path: Path, pickle: Path) -> None:
    cached = in_torch_cache(tmp_path, "net.pth", pickle.read_bytes())
    notes = RecordingProgress()
    assert locate_weights(spec(site.url("/net.pth"), sha256_of(pickle)[:8]), notes) == cached
    assert (site.requests, notes.lines, list(cached.parent.iterdir())) == ([], [], [cached])
    assert not (tmp_path / "zoo").exists()


def test_a_different_file_of_the_same_name_is_reported_and_not_used(site: Site, tmp_path: Path, pickle: Path) -> None:
    cached = in_torch_cache(tmp_path, "net.pth", b"other")
    notes = RecordingProgress()
    url = site.put("/net.pth", pickle.read_bytes())
    found = locate_weights(spec(url, sha256_of(pickle)), notes)
    assert found.read_bytes() == pickle.read_bytes()
    reason = f"its SHA-256 is {sha256_of(cached)}, not {sha256_of(pickle)}"
    assert notes.lines[0].startswith(f"note: ignoring {cached}: {reason}")
    assert (cached.read_bytes(), list(cached.parent.iterdir())) == (b"other", [cached])


def test_a_different_file_is_reported_only_once(site: Site, tmp_path: Path, pickle: Path) -> None:
    in_torch_cache(tmp_path, "net.pth", b"other")
    weights = spec(site.put("/net.pth", pickle.read_bytes()), sha256_of(pickle))
    found = locate_weights(weights, Silent())
    notes = RecordingProgress()
    assert locate_weights(weights, notes) == found
    assert notes.lines == []


def test_without_a_pinned_sha256_a_file_of_the_same_name_is_not_used(site: Site, tmp_path: Path) -> None:
    cached = in_torch_cache(tmp_path, "net.safetensors", b"of another address")
    assert locate_weights(spec(site.put("/net.safetensors", save(TENSORS))), Silent()) != cached


def test_the_pinned_revision_in_the_hub_cache_is_used(site: Site, tmp_path: Path) -> None:
    snapshots = tmp_path / "hub" / "models--o--n" / "snapshots"
    for age, revision in enumerate((b"new", b"pinned", b"old")):
        (snapshots / revision.decode()).mkdir(parents=True)
        path = snapshots / revision.decode() / "model.safetensors"
        path.write_bytes(revision)
        os.utime(path, (10**9 - age, 10**9 - age))
    url = "hf://o/n/model.safetensors"
    assert locate_weights(spec(url), Silent()).read_bytes() == b"new"
    notes = RecordingProgress()
    assert locate_weights(spec(url, sha256_of(snapshots / "pinned" / path.name)), notes).read_bytes() == b"pinned"
    assert [line.partition(": its")[0] for line in notes.lines] == [f"note: ignoring {snapshots / 'new' / path.name}"]
    assert site.requests == []


def test_a_pickle_without_a_pinned_sha256_is_not_downloaded(site: Site) -> None:
    with pytest.raises(WeightsError, match="can run code"):
        locate_weights(spec(site.put("/net.BIN?a=b", b"abc")), Silent())
    assert site.requests == []


URLS = st.builds(
    "https://example.com/{}{}".format,
    st.text(st.characters(codec="utf-8", exclude_characters="?#\n"), min_size=1, max_size=300),
    st.sampled_from([".pth", ".safetensors", ".bin"]),
)


@example(f"https://example.com/{'x' * 300}.pth", "https://example.com/x.pth", None, None)
@given(URLS, URLS, st.sampled_from([None, "0" * 8]), st.sampled_from([None, "0" * 8]))
def test_every_address_and_sha256_has_a_distinct_cache_name(a: str, b: str, pin_a: str, pin_b: str) -> None:
    name, other = (weights_module._cache_name(spec(url, pin), url) for url, pin in ((a, pin_a), (b, pin_b)))
    assert (name.lower() == other.lower()) == ((a, pin_a) == (b, pin_b))
    assert Path(name).name == name
    assert len(name.encode()) <= 100
    assert name.endswith(a[-4:])


def test_locating_weights_does_not_import_torch() -> None:
    check = "import sys, zoo.models.weights.locate; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", check], check=True, env=environment, timeout=60)


def test_weights_that_are_not_here_are_found_nowhere_without_a_download(site: Site) -> None:
    weights = spec(site.put("/net.safetensors", save(TENSORS)))
    assert not is_on_this_machine(weights)
    assert find_weights(weights, Silent()) is None
    assert site.requests == []


def test_downloaded_weights_are_on_this_machine(site: Site) -> None:
    weights = spec(site.put("/net.safetensors", save(TENSORS)))
    found = locate_weights(weights, Silent())
    assert is_on_this_machine(weights)
    assert find_weights(weights, Silent()) == found


def test_a_pickle_without_a_digest_is_never_on_this_machine(site: Site, tmp_path: Path, pickle: Path) -> None:
    in_torch_cache(tmp_path, "net.pth", pickle.read_bytes())
    weights = spec(site.url("/net.pth"))
    assert not is_on_this_machine(weights)
    assert find_weights(weights, Silent()) is None


@pytest.mark.parametrize("url", [None, "hf://owner/name/net.safetensors"])
def test_weights_that_are_not_published_or_not_in_a_cache_are_not_on_this_machine(url: str | None) -> None:
    assert not is_on_this_machine(spec(url))


def test_the_member_of_a_replaced_archive_is_read_again(tmp_path: Path) -> None:
    archive = tmp_path / "nets.zip"
    weights = WeightsSpec(tag="tag", url=archive.as_uri(), license="unknown", member="net.safetensors")
    for content in (b"old", b"new"):  # of the same size
        archive.unlink(missing_ok=True)
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("net.safetensors", content)
        assert locate_weights(weights, Silent()).read_bytes() == content
