"""``zoo convert`` makes weights files of other tools usable, and says what it took from them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from weights_files import TENSORS, same

Main = Callable[..., int]


def save(path: Path, **content: Any) -> Path:
    torch.save(content or {f"module.{name}": tensor for name, tensor in TENSORS.items()}, path)
    return path


def test_the_path_is_on_stdout_and_the_notes_are_on_stderr(
    run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = save(tmp_path / "net.pth.tar", epoch=3, model=TENSORS, model_ema=TENSORS), tmp_path / "o.safetensors"
    assert run("convert", file, output) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{output}\n"
    assert printed.err.splitlines() == [
        "note: using the tensors under the key 'model'; set --key to use those under model_ema",
        "note: skipping entries that are not weights: epoch",
    ]
    assert same(load_file(output), TENSORS)


def test_the_json_contains_everything_in_the_notes(
    run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = save(tmp_path / "net.ckpt"), tmp_path / "o.safetensors"
    assert run("convert", file, output, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file), "output": str(output), "bytes": output.stat().st_size, "tensors": 2, "key": None,
        "other_keys": [], "left_out": [], "removed": ["module."], "not_below": [],
    }  # fmt: skip


def test_a_key_and_a_prefix_choose_the_tensors(run: Main, tmp_path: Path) -> None:
    teacher = {f"backbone.{name}": tensor for name, tensor in TENSORS.items()} | {"head.weight": torch.ones(1)}
    file = save(tmp_path / "net.pth", student={"a": torch.ones(1)}, teacher=teacher)
    assert run("convert", file, tmp_path / "o.safetensors", "--key", "teacher", "--prefix", "backbone.") == 0
    assert same(load_file(tmp_path / "o.safetensors"), TENSORS)


def test_an_error_is_one_line_that_names_the_flag(
    run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = save(tmp_path / "net.pth", student=TENSORS, teacher=TENSORS), tmp_path / "o.safetensors"
    assert run("convert", file, output) == 1
    assert capsys.readouterr().err == (
        f"Error: {file} contains several sets of weights; choose one with --key: student, teacher\n"
    )
    assert not output.exists()


def test_an_existing_file_needs_overwrite(run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output = save(tmp_path / "net.pth"), tmp_path / "o.safetensors"
    output.touch()
    assert run("convert", file, output) == 1
    assert "set --overwrite to replace it" in capsys.readouterr().err
    assert output.stat().st_size == 0
    assert run("convert", file, output, "--overwrite") == 0
    assert same(load_file(output), TENSORS)


class Touch:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self._canary}",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_file_runs_nothing(
    run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, zipped: bool
) -> None:
    canary, file = tmp_path / "canary", tmp_path / "net.pth"
    torch.save({"state_dict": TENSORS, "x": Touch(canary)}, file, _use_new_zipfile_serialization=zipped)
    assert run("convert", file, tmp_path / "o.safetensors") == 1
    assert "contains more than tensors: it needs posix.system" in capsys.readouterr().err
    assert not canary.exists()
    assert not (tmp_path / "o.safetensors").exists()


@pytest.mark.parametrize("wrong", [[], ["a.pth"], ["a.pth", "b.safetensors", "c"], ["a.pth", "b", "--nonsense"]])
def test_wrong_usage_is_exit_code_2(run: Main, wrong: list[str]) -> None:
    assert run("convert", *wrong) == 2


#: Options for a run that takes a moment.
QUICK = ("--epochs", "1", "--device", "cpu", "--set", "workers=0", "--output", "run")


def test_a_real_checkpoint_trains_after_the_command_that_the_error_advises(
    run: Main,
    assets: Path,
    few_photos: Path,
    tmp_path: Path,
    *,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    upstream = load_file(assets / "weights" / "torchvision_mobilenet_v2.safetensors")
    file = tmp_path / "net.pth.tar"
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in upstream.items()}}, file)
    finetune = ("finetune", "mobilenet_v2", "--data", few_photos, *QUICK)
    assert run(*finetune, "--weights", file) == 1
    advised = capsys.readouterr().err.rstrip().partition("zoo convert ")[2].split()
    assert run("convert", *advised) == 0
    output = capsys.readouterr().out.rstrip("\n")
    assert same(load_file(output), upstream)
    assert run(*finetune, "--weights", output) == 0
    frozen = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(frozen[name], upstream[name]) for name in upstream if name.startswith("features."))


def test_a_prefixed_safetensors_file_trains_as_it_is(
    run: Main,
    assets: Path,
    few_photos: Path,
    tmp_path: Path,
    *,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    upstream = load_file(assets / "weights" / "torchvision_mobilenet_v2.safetensors")
    save_file({f"module.encoder.{name}": tensor for name, tensor in upstream.items()}, tmp_path / "net.safetensors")
    weights = tmp_path / "net.safetensors"
    assert run("finetune", "mobilenet_v2", "--data", few_photos, *QUICK, "--weights", weights) == 0
    note = "note: using the tensors of net.safetensors under 'module.encoder.', without this prefix"
    assert note in capsys.readouterr().err.splitlines()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["weights"]["prefix"] == "module.encoder."
    frozen = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(frozen[name], upstream[name]) for name in upstream if name.startswith("features."))
