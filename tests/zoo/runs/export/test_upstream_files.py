"""A plugin writes the files with which upstream loads a run folder, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recording_progress import RecordingProgress
from zoo.errors import PluginError
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec, InputSpec
from zoo.progress import Silent
from zoo.registry.registry import open_registry
from zoo.runs.export.upstream_files import build_upstream_files, write_upstream_files
from zoo.runs.folder import RunFolder

Files = Callable[..., Any]


def declare(files: Files | None) -> BackboneSpec:
    return replace(open_registry().resolve("tiny").backbone, run_files=files)


def make_header(head: str = "linear") -> Header:
    return Header("tiny/tiny", None, head, ("moon", "sun"), InputSpec(), "none", "none")


def describe(classes: tuple[str, ...], given: InputSpec) -> dict[str, Any]:
    return {"config.json": {"labels": [*classes]}, "preprocessor_config.json": {"size": given.size[1]}}


def test_a_plugin_receives_the_classes_and_the_input_of_the_run() -> None:
    assert build_upstream_files(declare(describe), make_header()) == {
        "config.json": {"labels": ["moon", "sun"]},
        "preprocessor_config.json": {"size": 224},
    }


@pytest.mark.parametrize(("files", "head"), [(None, "linear"), (describe, "mlp:4")])
def test_other_runs_have_no_such_files(files: Files | None, head: str) -> None:
    assert build_upstream_files(declare(files), make_header(head)) == {}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"run.json": {}}, "it returns 'run.json'; return a mapping of config.json and preprocessor_config.json"),
        ({"../config.json": {}}, "it returns '../config.json'; return"),
        (["config.json"], "it returns list; return"),
        ({"config.json": {"size": {1}}}, "it returns values that JSON does not have: Object of type set"),
    ],
)
def test_other_files_are_refused(returned: Any, message: str) -> None:
    with pytest.raises(PluginError, match=f"tiny/tiny fails in run_files: {message}"):
        build_upstream_files(declare(lambda _classes, _given: returned), make_header())


def fail(_classes: tuple[str, ...], _given: InputSpec) -> Any:
    raise KeyError("labels")


def test_an_error_of_the_plugin_names_the_backbone() -> None:
    with pytest.raises(PluginError, match="tiny/tiny fails in run_files: KeyError"):
        build_upstream_files(declare(fail), make_header())


def test_the_files_are_written_to_the_run_folder(tiny_run: Path) -> None:
    write_upstream_files(RunFolder.open(tiny_run), declare(describe), Silent())
    assert json.loads((tiny_run / "config.json").read_text(encoding="utf-8")) == {"labels": ["moons", "suns"]}
    assert RunFolder.reopen(tiny_run).path == tiny_run


def test_an_error_of_the_plugin_does_not_end_a_run_that_is_trained(tiny_run: Path) -> None:
    progress = RecordingProgress()
    write_upstream_files(RunFolder.open(tiny_run), declare(fail), progress)
    (line,) = progress.lines
    assert line.startswith("warning: upstream cannot load the run folder: tiny/tiny fails in run_files: KeyError")
    assert not (tiny_run / "config.json").exists()
