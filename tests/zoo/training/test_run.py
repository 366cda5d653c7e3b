"""What a finished run shows in Python and in a notebook."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from quick_runs import QUICK
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune
from zoo.training.run import Run


def test_the_text_of_a_run_is_one_short_line(registry: Registry, photos: Path, tmp_path: Path) -> None:
    run = finetune("net", photos, output=tmp_path / "run", registry=registry, **QUICK)
    assert repr(run) == f"Run('{tmp_path / 'run'}', val accuracy {run.facts['val']['accuracy']:.3f})"


def test_the_history_has_one_dictionary_per_epoch(registry: Registry, photos: Path, tmp_path: Path) -> None:
    run = finetune("net", photos, output=tmp_path / "run", registry=registry, **{**QUICK, "epochs": 2})
    lines = (tmp_path / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert run.history == [json.loads(line) for line in lines]
    assert [line["epoch"] for line in run.history] == [1, 2]


def test_a_notebook_shows_the_accuracies_and_escapes_the_path() -> None:
    facts = {"val": {"accuracy": 0.5}, "test": {"accuracy": 0.25}}
    html = Run(Path('a"<b>\x1b'), facts)._repr_html_()  # notebooks call it
    assert "<td>val accuracy</td><td>0.500</td>" in html
    assert "<td>test accuracy</td><td>0.250</td>" in html
    assert "<b>" not in html
    assert "\x1b" not in html


def test_the_text_of_a_cross_validation_has_the_out_of_fold_accuracy() -> None:
    run = Run(Path("runs/a"), {"out_of_fold": {"accuracy": 0.75}})
    assert repr(run) == "Run('runs/a', out-of-fold accuracy 0.750)"


class ZMQInteractiveShell:
    """The class whose name tells a notebook from a terminal."""


@pytest.mark.parametrize("is_notebook", [True, False])
def test_progress_is_shown_in_notebooks_only(  # one fixture for each part of the run
    registry: Registry, few_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], *, is_notebook: bool,
) -> None:  # fmt: skip
    shell = ZMQInteractiveShell() if is_notebook else None
    monkeypatch.setitem(sys.modules, "IPython", type("Stub", (), {"get_ipython": lambda: shell}))
    finetune("net", few_photos, output=tmp_path / "run", registry=registry, **QUICK)
    printed = capfd.readouterr()
    assert ("epoch 1: train loss" in printed.out) == is_notebook
    assert printed.err == ""
