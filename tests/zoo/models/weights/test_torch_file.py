"""Files of torch.save are read without running anything in them, whatever they contain."""

from __future__ import annotations

import argparse
import ast
import collections
import datetime as dt
import decimal
import fractions
import os
import pickle
import re
import tarfile
import tempfile
import types
import uuid
import warnings
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weights_files import TENSORS, same
from zoo.errors import WeightsError
from zoo.models.weights.harmless import HARMLESS, Omitted
from zoo.models.weights.torch_file import read_torch_file


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "weights_only" not in message
    return message


class Runs:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])
def test_every_format_of_torch_save_is_read(tmp_path: Path, protocol: int, *, zipped: bool) -> None:
    path = tmp_path / "net"
    torch.save(TENSORS, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert same(read_torch_file(path), TENSORS)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_options_of_a_training_script_are_read(tmp_path: Path, *, zipped: bool) -> None:
    path, args = tmp_path / "net.pth", argparse.Namespace(lr=0.1, layers=[1, 2])
    torch.save({"args": args, "model": TENSORS}, path, _use_new_zipfile_serialization=zipped)
    assert read_torch_file(path)["args"] == args
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_hidden_in_options_creates_no_file(tmp_path: Path, *, zipped: bool) -> None:
    canary, path = tmp_path / "canary", tmp_path / "net.pth"
    args = argparse.Namespace(name=Runs(os.system, f"touch {canary}"))
    torch.save({"args": args, "model": TENSORS}, path, _use_new_zipfile_serialization=zipped)
    assert "contains more than tensors" in refusal(path)
    assert not canary.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_newer_pickle_protocol_is_named(tmp_path: Path, *, zipped: bool) -> None:
    path = tmp_path / "net.pth"
    torch.save(TENSORS, path, pickle_protocol=4, _use_new_zipfile_serialization=zipped)
    assert "pickle_protocol above 3, which torch cannot load safely; save it with the default" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_creates_no_file(tmp_path: Path, *, zipped: bool) -> None:
    canary, path = tmp_path / "canary", tmp_path / "net.pth"
    content = {"state_dict": TENSORS, "epoch": Runs(os.system, f"touch {canary}")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert re.search(r"contains more than tensors: it needs (posix|nt)\.system, and zoo loads only", refusal(path))
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists()  # it runs when it is allowed to


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (Runs(print, "x"), "print"),
        (types.SimpleNamespace(a=1), "types.SimpleNamespace"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    ],
    ids=["function", "class", "module"],
)
def test_the_error_names_what_the_file_needs(tmp_path: Path, content: object, needed: str) -> None:
    torch.save({"state_dict": TENSORS, "more": content}, tmp_path / "net.pth")
    assert f"contains more than tensors: it needs {needed}" in refusal(tmp_path / "net.pth")


#: Objects that training scripts save besides tensors.
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
USUAL = [
    np.float64(0.5), np.float32(0.5), np.int64(3), np.bool_(True), np.str_("a"), np.arange(3), np.dtype("float32"), NOW,
    NOW.replace(tzinfo=None), NOW.date(), NOW.time(), dt.timedelta(1), Path("a/b"), PurePosixPath("a"),
    PureWindowsPath("a"), frozenset([1]), range(3), slice(1, 2), decimal.Decimal(1), fractions.Fraction(1, 2),
    uuid.UUID(int=5),
]  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", USUAL, ids=[type(content).__name__ for content in USUAL])
def test_common_objects_are_omitted_without_calling_their_constructors(
    tmp_path: Path, content: object, *, zipped: bool
) -> None:
    path = tmp_path / "net.pth"
    torch.save({"best": content, "state_dict": TENSORS}, path, _use_new_zipfile_serialization=zipped)
    read = read_torch_file(path)
    assert type(read["best"]) is Omitted
    assert vars(read["best"]) == {}
    assert same(read["state_dict"], TENSORS)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_in_other_containers_are_read(tmp_path: Path, *, zipped: bool) -> None:
    path, content = tmp_path / "net.pth", collections.defaultdict(list, TENSORS)
    queue = collections.deque([1, 2], maxlen=3)
    torch.save({"state_dict": content, "recent": queue}, path, _use_new_zipfile_serialization=zipped)
    read = read_torch_file(path)
    assert same(read["state_dict"], TENSORS)
    assert read["recent"] == [1, 2]


def test_nothing_that_a_file_can_name_comes_from_another_package() -> None:
    callables = [item[0] if isinstance(item, tuple) else item for item in HARMLESS]
    assert {item.__module__ for item in callables} == {"zoo.models.weights.harmless", "argparse"}


@pytest.mark.parametrize("holder", [collections.deque, collections.defaultdict, frozenset])
def test_a_hostile_pickle_hidden_in_a_common_object_creates_no_file(tmp_path: Path, holder: Any) -> None:
    canary, path = tmp_path / "canary", tmp_path / "net.pth"
    hidden = Runs(os.system, f"touch {canary}")
    content = holder(None, {"a": hidden}) if holder is collections.defaultdict else holder([hidden])
    torch.save({"more": content, "model": TENSORS}, path)
    assert "contains more than tensors" in refusal(path)
    assert not canary.exists()


def test_a_torchscript_archive_is_refused_with_the_reason(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but its files exist
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "net.pt")  # type: ignore[no-untyped-call]
    assert "is a TorchScript archive, which contains code; save the state_dict()" in refusal(tmp_path / "net.pt")


#: How each function that could load a pickle must be called. torch.export.load reads only what zoo has just exported.
SAFE_CALLS = {
    ("zoo/models/weights/torch_file.py", "torch.load", "weights_only=True"),
    ("zoo/runs/export/in_runtime.py", "np.load", "allow_pickle=False"),
    ("zoo/runs/export/in_runtime.py", "torch.export.load", None),
    ("zoo/runs/export/parity.py", "np.load", "allow_pickle=False"),
}


def test_nothing_else_in_the_code_loads_pickles() -> None:
    root = Path(__file__).parents[4]
    assert {
        (path.relative_to(root).as_posix(), ast.unparse(call.func), _find_safeguard(call))
        for path in (*root.glob("zoo/**/*.py"), *root.glob("plugins/*/src/**/*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and re.search(
            r"(torch|export|pickle|dill|joblib|marshal|numpy|np|jit|hub|checkpoint)\.(load\w*|Unpickler)$",
            ast.unparse(call.func),
        )
    } == SAFE_CALLS


def _find_safeguard(call: ast.Call) -> str | None:
    safeguards = [ast.unparse(word) for word in call.keywords if word.arg in ("weights_only", "allow_pickle")]
    return next(iter(safeguards), None)


def write_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "pickle")


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.onnx", "x" * 100)


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": [1.0, 2.0]}, protocol=2))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_tar, "is a tar archive, not a file that torch.save wrote; unpack it first"),
        (write_zip, "is a zip archive, not a file that torch.save wrote; unpack it first"),
        (write_pickle, "is damaged, or not a file that torch.save wrote"),
        (Path.touch, "is empty"),
        (
            lambda path: path.write_bytes(b"hello"),
            "is damaged, or not a file that torch.save wrote; download or save it again",
        ),
        (lambda path: path.write_bytes(b"<html>"), "is a web page"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "is a Git LFS pointer"),
    ],
    ids=["tar", "zip", "pickle", "empty", "text", "web page", "Git LFS"],
)
def test_the_error_names_the_kind_of_a_file_that_torch_save_did_not_write(
    tmp_path: Path, write: Any, words: str
) -> None:
    write(tmp_path / "net.tar")
    assert words in refusal(tmp_path / "net.tar")


@pytest.mark.parametrize("zipped", [True, False])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), replaced=st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_weights_error_or_harmless(at: float, replaced: bytes, *, zipped: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pth"
        torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
        good = path.read_bytes()
        where = int(at * len(good))
        path.write_bytes(good[:where] + replaced + good[where + len(replaced) :])
        try:
            read_torch_file(path)
        except WeightsError as error:
            assert str(error).startswith(str(path))  # noqa: PT017  # both outcomes are valid
