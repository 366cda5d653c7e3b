"""Pretraining on a few images."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from zoo.plugin import BackboneSpec
from zoo_tiny.pretrain import Plan, hash_file, pretrain

SHORT = Plan(train=2, val=1, epochs=1)


@pytest.mark.breadth
def test_pretraining_writes_reproducible_weights_that_load_strictly(tmp_path: Path, spec: BackboneSpec) -> None:
    first, again = tmp_path / "first.safetensors", tmp_path / "again.safetensors"
    for target in (first, again):
        assert 0 <= pretrain(target, SHORT) <= 1
    assert hash_file(first) == hash_file(again)
    spec.build(None).load_state_dict(load_file(first), strict=True)


def test_the_command_has_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["pretrain", "--help"])
    monkeypatch.delitem(sys.modules, "zoo_tiny.pretrain")
    with pytest.raises(SystemExit) as done:
        runpy.run_module("zoo_tiny.pretrain", run_name="__main__")
    assert done.value.code == 0
    assert "--output" in capsys.readouterr().out
