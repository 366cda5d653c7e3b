"""Weights that are pinned by SHA-1 or MD5, or are in an archive on a server."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save

from recording_progress import RecordingProgress
from weights_files import TENSORS, same
from zoo.errors import DownloadError, WeightsError
from zoo.files.cache import list_entries
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.load import read_initial_tensors
from zoo.models.weights.locate import is_on_this_machine, locate_weights
from zoo.plugin import WeightsSpec
from zoo.progress import Progress, Silent

Site = Any  # the class in conftest.py, which cannot be imported


def spec(url: str, **fields: Any) -> WeightsSpec:
    return WeightsSpec(tag="tag", url=url, license="MIT", **fields)


def read(weights: WeightsSpec, progress: Progress | None = None) -> Any:
    return read_initial_tensors(WeightsSource("tag", "tag", weights=weights), progress or Silent())


def pack(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "the weights")
        archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(("algorithm", "name"), [("sha1", "SHA-1"), ("md5", "MD5")])
def test_a_pickle_pinned_by_a_weak_digest_is_fetched_once_with_a_note(
    site: Site, pickle: Path, algorithm: str, name: str
) -> None:
    content = pickle.read_bytes()
    pin = {algorithm: hashlib.new(algorithm, content).hexdigest()}
    weights, notes = spec(site.put("/net.pth", content), **pin), RecordingProgress()
    assert same(read(weights, notes), TENSORS)
    (note,) = [line for line in notes.lines if line.startswith("note: ")]
    assert note.startswith(f"note: weights tag are pinned only by {name}, which is weak: it shows damage, but ")
    again = RecordingProgress()
    assert same(read(weights, again), TENSORS)
    assert (again.lines, len(site.requests)) == ([], 1)


@pytest.mark.parametrize(("algorithm", "name"), [("sha1", "SHA-1"), ("md5", "MD5")])
def test_a_file_with_another_weak_digest_is_refused_on_download_and_on_reading(
    site: Site, pickle: Path, algorithm: str, name: str
) -> None:
    content = pickle.read_bytes()
    right = hashlib.new(algorithm, content).hexdigest()
    wrong = "0" * len(right)
    url = site.put("/net.pth", content)
    with pytest.raises(DownloadError, match=rf"its {name} is {right}, not {wrong}; the file was changed"):
        read(spec(url, **{algorithm: wrong}))
    good = spec(url, **{algorithm: right})
    path = locate_weights(good, Silent())
    path.write_bytes(content + b"x")
    with pytest.raises(WeightsError, match=rf"is damaged or is a different file: its {name} is .*, not {right}"):
        read(good)


def test_a_weakly_pinned_file_in_torch_s_cache_must_match(site: Site, pickle: Path, tmp_path: Path) -> None:
    content = pickle.read_bytes()
    cached = tmp_path / "torch" / "hub" / "checkpoints" / "net.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    weights = spec(site.url("/net.pth"), sha1=hashlib.sha1(content).hexdigest())
    assert locate_weights(weights, Silent()) == cached
    cached.write_bytes(b"other")
    site.put("/net.pth", content)
    notes = RecordingProgress()
    assert locate_weights(weights, notes) != cached
    assert f"note: ignoring {cached}: its SHA-1 is " in notes.lines[0]


def test_an_interrupted_download_with_a_weak_digest_is_resumed(site: Site, pickle: Path) -> None:
    content = pickle.read_bytes()
    site.faults = ["cut:1000"]
    assert same(read(spec(site.put("/net.pth", content), md5=hashlib.md5(content).hexdigest())), TENSORS)
    assert site.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_one_member_of_an_archive_is_read_and_kept(site: Site, pickle: Path, suffix: str) -> None:
    content = pickle.read_bytes() if suffix == ".pth" else save(TENSORS)
    member = f"net-0123{suffix}"
    url = site.put("/net.zip", pack(member, content))
    weights = spec(url, member=member, sha1=hashlib.sha1(content).hexdigest())
    assert not is_on_this_machine(weights)
    assert same(read(weights), TENSORS)
    assert is_on_this_machine(weights)
    assert same(read(weights), TENSORS)
    assert len(site.requests) == 1
    (entry,) = list_entries("weights")
    assert entry.path.name.endswith(member)
    assert entry.path.read_bytes() == content
    assert [path for path in entry.path.parent.iterdir() if path != entry.path] == []


def test_a_member_of_a_tar_archive_is_read(site: Site) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("nets/a.safetensors")
        content = save(TENSORS)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    assert same(read(spec(site.put("/nets.tar.gz", stream.getvalue()), member="nets/a.safetensors")), TENSORS)


def test_two_members_of_one_archive_are_different_files(site: Site) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/net.safetensors", save(TENSORS))
        archive.writestr("b/net.safetensors", save({"other": TENSORS["conv.weight"]}))
    url = site.put("/nets.zip", stream.getvalue())
    first, second = (read(spec(url, member=f"{name}/net.safetensors")) for name in "ab")
    assert (set(first), set(second)) == (set(TENSORS), {"other"})


def test_a_member_that_is_not_the_pinned_file_is_refused_and_nothing_is_kept(site: Site, pickle: Path) -> None:
    url = site.put("/net.zip", pack("net.pth", pickle.read_bytes()))
    with pytest.raises(DownloadError, match=r"'net\.pth' in the archive is not the expected file: its SHA-1 is "):
        read(spec(url, member="net.pth", sha1="0" * 40))
    with pytest.raises(DownloadError, match=r"it has no such member, only 'README', 'net\.pth'"):
        read(spec(url, member="other.pth", sha1="0" * 40))
    assert list_entries("weights") == []


def test_a_pickle_in_an_archive_needs_a_digest_before_it_is_fetched(site: Site) -> None:
    with pytest.raises(WeightsError, match="is a pickle, which can run code"):
        read(spec(site.url("/net.zip"), member="net.pth"))
    assert site.requests == []


def test_an_archive_beside_its_plugin_is_unpacked_once(tmp_path: Path) -> None:
    archive = tmp_path / "net.zip"
    archive.write_bytes(pack("net.safetensors", save(TENSORS)))
    weights = spec(archive.as_uri(), member="net.safetensors")
    assert same(read(weights), TENSORS)
    path = locate_weights(weights, Silent())
    before = path.stat().st_mtime_ns
    assert locate_weights(weights, Silent()) == path
    assert path.stat().st_mtime_ns == before


def test_a_new_archive_at_the_same_address_is_unpacked_again(tmp_path: Path) -> None:
    archive, other = tmp_path / "net.zip", {name: tensor + 1 for name, tensor in TENSORS.items()}
    weights = spec(archive.as_uri(), member="net.safetensors")
    archive.write_bytes(pack("net.safetensors", save(TENSORS)))
    assert same(read(weights), TENSORS)
    archive.write_bytes(pack("net.safetensors", save(other)) + b"\0")  # Another size, because clocks are coarse.
    assert same(read(weights), other)
