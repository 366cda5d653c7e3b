"""Reading a weights file verifies it and never runs code."""

from __future__ import annotations

import collections
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import Tensor

from unprivileged import obeying_permissions
from weights_files import TENSORS, same
from zoo.errors import WeightsError
from zoo.files.digest import Digest
from zoo.files.download import sha256_of
from zoo.models.weights.read import read_weights


def refusal(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        read_weights(path, digest=None if sha256 is None else Digest("sha256", sha256))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(TENSORS, path)
    assert same(read_weights(path, digest=None), TENSORS)
    assert same(read_weights(path, digest=Digest("sha256", sha256_of(path))), TENSORS)
    assert f"not {'0' * 64}" in refusal(path, "0" * 64)


def test_a_tensor_may_have_the_name_of_a_usual_key(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"model": TENSORS["conv.weight"]}, path)
    assert same(read_weights(path, digest=Digest("sha256", sha256_of(path))), {"model": TENSORS["conv.weight"]})


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nest", [None, "state_dict", "model", "model_state"])
@pytest.mark.parametrize("suffix", [".pth", ".PT", ".bin"])
def test_a_pinned_pickle_is_read(tmp_path: Path, suffix: str, nest: str | None, *, zipped: bool) -> None:
    path = tmp_path / f"net{suffix}"
    torch.save({nest: TENSORS} if nest else TENSORS, path, _use_new_zipfile_serialization=zipped)
    assert same(read_weights(path, digest=Digest("sha256", sha256_of(path)[:8])), TENSORS)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_changing_a_tensor_does_not_change_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pth" else save_file)(TENSORS, path)
    before = sha256_of(path)
    read_weights(path, digest=Digest("sha256", before))["conv.weight"].zero_()
    assert sha256_of(path) == before


def test_other_content_of_a_pinned_pickle_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"state_dict": TENSORS, "epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}, path)
    assert same(read_weights(path, digest=Digest("sha256", sha256_of(path))), TENSORS)


def test_a_pickle_needs_its_pinned_sha256(pickle: Path) -> None:
    assert "its SHA-256 is not pinned" in refusal(pickle)
    assert "its SHA-256 is not pinned" in refusal(pickle, sha256_of(pickle)[:7])
    assert f"its SHA-256 is {sha256_of(pickle)}, not {'0' * 8}" in refusal(pickle, "0" * 8)


def test_the_advice_for_a_pickle_works(pickle: Path) -> None:
    program, *arguments = shlex.split(refusal(pickle).partition(": ")[2])
    assert program == "zoo"
    subprocess.run([sys.executable, "-m", "zoo", *arguments], cwd=pickle.parent, check=True, timeout=60)
    assert same(read_weights(pickle.with_suffix(".safetensors"), digest=None), TENSORS)


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
    assert canary.exists()  # it runs when it is allowed to


@pytest.mark.parametrize("name", ["n.pth", "n.pt", "n.CKPT", "n.pth.tar", "n.tar", "n.bin", "a b.pth", "n"])
def test_the_advice_names_the_file_and_a_safetensors_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    torch.save(TENSORS, path)
    *_, file, output = shlex.split(refusal(path))
    assert (file, Path(output).name) == (str(path), f"{name.partition('.')[0]}.safetensors")


def test_the_advice_for_a_pickle_named_safetensors_names_another_output_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    torch.save(TENSORS, path)
    assert refusal(path).endswith(f"convert it: zoo convert {path} {tmp_path / 'net-converted.safetensors'}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "it is a list"),
        ({}, "it is empty"),
        ({"epoch": 3, "loss": torch.tensor(0.5)}, "it contains only epoch, loss"),
        ({1: torch.ones(1)}, "it contains only 1"),
        ({"model": TENSORS, "net": TENSORS}, "several sets of weights; choose one with `key`: model, net"),
        ({"args": collections.Counter()}, "it contains only args"),
        ({"args": collections.UserDict()}, "contains more than tensors: it needs collections.UserDict, and"),
    ],
)
def test_the_error_names_other_content_of_a_pickle(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "net.pth"
    torch.save(content, path)
    assert words in refusal(path, sha256_of(path))


@pytest.mark.parametrize("keep", [0, 1, 100, 600])
def test_a_truncated_pickle_is_refused(pickle: Path, keep: int) -> None:
    pickle.write_bytes(pickle.read_bytes()[:keep])
    assert ("damaged" if keep else "is empty") in refusal(pickle, sha256_of(pickle))


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
def test_the_error_names_the_kind_of_a_file_that_is_not_safetensors(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert words in refusal(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_weights_error_or_harmless(at: int, replaced: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        path.write_bytes(GOOD[:at] + replaced + GOOD[at + len(replaced) :])
        try:
            found = read_weights(path, digest=None)
        except WeightsError as error:
            assert str(error).startswith(str(path))  # noqa: PT017  # both outcomes are valid
        else:
            assert all(isinstance(tensor, Tensor) for tensor in found.values())


def test_a_path_that_is_not_a_weights_file_is_an_error(tmp_path: Path) -> None:
    assert "does not exist; pass a .safetensors file" in refusal(tmp_path / "net.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"abc")
    assert "not a weights file that zoo can read" in refusal(tmp_path / "net.onnx")


def test_a_file_without_read_permission_is_an_error(pickle: Path) -> None:
    pickle.chmod(0)
    with obeying_permissions():
        assert "cannot be read (Permission denied)" in refusal(pickle, "0" * 8)


def test_a_name_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read (File name too long)" in refusal(tmp_path / f"{'a' * 300}.safetensors")
