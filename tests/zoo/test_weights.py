"""A weights file is found, is the right one, and never runs code."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import Tensor

import zoo
from zoo import weights as weights_module
from zoo.download import sha256_of
from zoo.errors import DownloadError, WeightsError
from zoo.plugin import WeightsSpec
from zoo.progress import Silent
from zoo.weights import locate_weights, read_weights

Site = Any  # of conftest.py, which cannot be imported

TENSORS = {"conv.weight": torch.arange(12.0).reshape(3, 4), "bn.num_batches_tracked": torch.tensor(7)}


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


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


def spec(url: str | None, sha256: str | None = None, size: int | None = None) -> WeightsSpec:
    return WeightsSpec(tag="tag", url=url, licence="unknown", sha256=sha256, size=size)


def in_torch_cache(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / "torch" / "hub" / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


def refusal(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        read_weights(path, sha256=sha256)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


# Where the file comes from


def test_a_local_file_is_used_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a b.safetensors"
    with pytest.raises(WeightsError, match=r"should lie at .*a b\.safetensors and do not; reinstall the plugin"):
        locate_weights(spec(path.as_uri()), Silent())
    path.touch()
    assert locate_weights(spec(path.as_uri()), Silent()) == path


def test_weights_that_nobody_publishes() -> None:
    with pytest.raises(WeightsError, match=r"'tag' are not published anywhere; pass them as a \.safetensors file"):
        locate_weights(spec(None), Silent())


def test_a_file_is_fetched_once(site: Site, tmp_path: Path, pickle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = spec(site.put("/net.pth", pickle.read_bytes()), sha256_of(pickle)[:8])
    found = locate_weights(weights, Silent())
    assert found.parent == tmp_path / "zoo" / "weights"
    assert same(read_weights(found, sha256=weights.sha256), TENSORS)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert locate_weights(weights, Silent()) == found
    assert len(site.requests) == 1


def test_offline_and_not_cached(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(DownloadError, match="Unset ZOO_OFFLINE"):
        locate_weights(spec(site.url("/net.safetensors")), Silent())


def test_what_torch_has_fetched_is_used_and_left_alone(site: Site, tmp_path: Path, pickle: Path) -> None:
    cached = in_torch_cache(tmp_path, "net.pth", pickle.read_bytes())
    heard = Heard()
    assert locate_weights(spec(site.url("/net.pth"), sha256_of(pickle)[:8]), heard) == cached
    assert (site.requests, heard.lines, list(cached.parent.iterdir())) == ([], [], [cached])
    assert not (tmp_path / "zoo").exists()


def test_another_file_of_that_name_is_named_and_not_used(site: Site, tmp_path: Path, pickle: Path) -> None:
    cached = in_torch_cache(tmp_path, "net.pth", b"other")
    heard = Heard()
    url = site.put("/net.pth", pickle.read_bytes())
    found = locate_weights(spec(url, sha256_of(pickle)), heard)
    assert found.read_bytes() == pickle.read_bytes()
    reason = f"its SHA-256 is {sha256_of(cached)}, not {sha256_of(pickle)}"
    assert heard.lines[0].startswith(f"{cached} is not used: {reason}")
    assert (cached.read_bytes(), list(cached.parent.iterdir())) == (b"other", [cached])


def test_what_is_wrong_elsewhere_is_said_once(site: Site, tmp_path: Path, pickle: Path) -> None:
    in_torch_cache(tmp_path, "net.pth", b"other")
    weights = spec(site.put("/net.pth", pickle.read_bytes()), sha256_of(pickle))
    found = locate_weights(weights, Silent())
    heard = Heard()
    assert locate_weights(weights, heard) == found
    assert heard.lines == []


def test_a_name_alone_is_no_proof(site: Site, tmp_path: Path) -> None:
    cached = in_torch_cache(tmp_path, "net.safetensors", b"of another address")
    assert locate_weights(spec(site.put("/net.safetensors", save(TENSORS))), Silent()) != cached


def test_of_what_the_hub_cache_has_the_pinned_revision_is_used(site: Site, tmp_path: Path) -> None:
    snapshots = tmp_path / "hub" / "models--o--n" / "snapshots"
    for age, revision in enumerate((b"new", b"pinned", b"old")):
        (snapshots / revision.decode()).mkdir(parents=True)
        path = snapshots / revision.decode() / "model.safetensors"
        path.write_bytes(revision)
        os.utime(path, (10**9 - age, 10**9 - age))
    url = "hf://o/n/model.safetensors"
    assert locate_weights(spec(url), Silent()).read_bytes() == b"new"
    heard = Heard()
    assert locate_weights(spec(url, sha256_of(snapshots / "pinned" / path.name)), heard).read_bytes() == b"pinned"
    assert [line.partition(" is not used")[0] for line in heard.lines] == [str(snapshots / "new" / path.name)]
    assert site.requests == []


def test_a_pickle_without_a_pinned_digest_is_not_even_fetched(site: Site) -> None:
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
def test_every_address_and_digest_has_a_cache_name_of_its_own(a: str, b: str, pin_a: str, pin_b: str) -> None:
    name, other = (weights_module._cache_name(spec(url, pin), url) for url, pin in ((a, pin_a), (b, pin_b)))
    assert (name.lower() == other.lower()) == ((a, pin_a) == (b, pin_b))
    assert Path(name).name == name
    assert len(name.encode()) <= 100
    assert name.endswith(a[-4:])


# What is read


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(TENSORS, path)
    assert same(read_weights(path, sha256=None), TENSORS)
    assert same(read_weights(path, sha256=sha256_of(path)), TENSORS)
    assert f"not {'0' * 64}" in refusal(path, "0" * 64)


def test_a_tensor_may_have_the_name_of_a_nest(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"model": TENSORS["conv.weight"]}, path)
    assert same(read_weights(path, sha256=sha256_of(path)), {"model": TENSORS["conv.weight"]})


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nest", [None, "state_dict", "model", "model_state"])
@pytest.mark.parametrize("suffix", [".pth", ".PT", ".bin"])
def test_a_pinned_pickle_is_read(tmp_path: Path, suffix: str, nest: str | None, *, zipped: bool) -> None:
    path = tmp_path / f"net{suffix}"
    torch.save({nest: TENSORS} if nest else TENSORS, path, _use_new_zipfile_serialization=zipped)
    assert same(read_weights(path, sha256=sha256_of(path)[:8]), TENSORS)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_changing_a_tensor_leaves_the_file_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pth" else save_file)(TENSORS, path)
    before = sha256_of(path)
    read_weights(path, sha256=before)["conv.weight"].zero_()
    assert sha256_of(path) == before


def test_a_pickle_needs_the_digest_of_its_bytes(pickle: Path) -> None:
    assert "no digest of it is pinned" in refusal(pickle)
    assert "no digest of it is pinned" in refusal(pickle, sha256_of(pickle)[:7])
    assert f"its SHA-256 is {sha256_of(pickle)}, not {'0' * 8}" in refusal(pickle, "0" * 8)


def test_the_advice_for_a_pickle_works(pickle: Path) -> None:
    command = shlex.split(refusal(pickle).partition(": ")[2])
    subprocess.run([sys.executable, *command[1:]], cwd=pickle.parent, check=True, timeout=60)
    assert same(read_weights(pickle.with_suffix(".safetensors"), sha256=None), TENSORS)


class Hostile:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._canary,))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_code_in_a_pickle_never_runs(tmp_path: Path, suffix: str, *, zipped: bool) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / f"net{suffix}"
    torch.save({"a": Hostile(canary)}, path, _use_new_zipfile_serialization=zipped)
    refusal(path)
    refusal(path, sha256_of(path))
    assert not canary.exists()
    with path.open("rb") as file:
        torch.load(file, weights_only=False)
    assert canary.exists()  # it would have run


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "it is a list"),
        ({}, "it is empty"),
        ({"state_dict": TENSORS, "epoch": 3}, "its 'state_dict' is a dict"),
        ({"model": torch.ones(1), "epoch": 3}, "its 'epoch' is a int"),
        ({1: torch.ones(1)}, "its 1 is a Tensor"),
        (
            {"args": argparse.Namespace(lr=1)},
            "something else than tensors, or is damaged: it wants to call argparse.Names",
        ),
    ],
)
def test_what_else_a_pickle_holds_is_named(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "net.pth"
    torch.save(content, path)
    assert words in refusal(path, sha256_of(path))


@pytest.mark.parametrize("keep", [0, 1, 100, 600])
def test_a_cut_pickle_is_refused(pickle: Path, keep: int) -> None:
    pickle.write_bytes(pickle.read_bytes()[:keep])
    assert "damaged" in refusal(pickle, sha256_of(pickle))


GOOD = save(TENSORS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><title>Log in</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
        (b"PK\x03\x04", "is a pickle"),
        (b"\xff" * 100, "is damaged"),
        (GOOD[:-1], "is damaged"),
        (GOOD[:20], "is damaged"),
        (GOOD + b"\0", "is damaged"),
        (save({}), "it is empty"),
    ],
    ids=lambda value: value[:20].hex() if isinstance(value, bytes) else None,
)
def test_what_is_no_safetensors_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert words in refusal(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_clear_error_or_harmless(at: int, replaced: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        path.write_bytes(GOOD[:at] + replaced + GOOD[at + len(replaced) :])
        try:
            found = read_weights(path, sha256=None)
        except WeightsError as error:
            assert str(error).startswith(str(path))  # noqa: PT017  # both ways are right
        else:
            assert all(isinstance(tensor, Tensor) for tensor in found.values())


def test_a_path_that_is_no_weights_file(tmp_path: Path) -> None:
    assert "does not exist; pass a .safetensors file" in refusal(tmp_path / "net.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"abc")
    assert "no weights file that zoo can read" in refusal(tmp_path / "net.onnx")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_file_that_may_not_be_read(pickle: Path) -> None:
    pickle.chmod(0)
    assert "cannot be read (Permission denied)" in refusal(pickle, "0" * 8)


def test_finding_weights_needs_no_torch() -> None:
    check = "import sys, zoo.weights; sys.exit(bool({'torch', 'safetensors'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", check], check=True, env=environment, timeout=60)
