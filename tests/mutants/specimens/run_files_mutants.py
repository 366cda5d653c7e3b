"""Backbones whose ``run_files`` do not return what zoo can write."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from specimens.good import describe_run
from specimens.register import declared

_CALLS = count()


def write_itself(classes: Any, given: Any) -> Any:
    Path("config.json").write_text("{}")
    return describe_run(classes, given)


def print_first(classes: Any, given: Any) -> Any:
    print("writing")  # noqa: T201  # the fault
    return describe_run(classes, given)


def count_calls(classes: Any, given: Any) -> Any:
    return {"config.json": {**describe_run(classes, given)["config.json"], "call": next(_CALLS)}}


def fail(_classes: Any, _given: Any) -> Any:
    raise KeyError("id2label")


declared(
    "run-files-with-the-name-of-zoo-s-own",
    {"build.files": "fails in run_files: it returns 'run.json'; return a mapping of config.json and"},
    lambda: {"run_files": lambda _classes, _given: {"run.json": {}}},
)
declared(
    "run-files-outside-the-folder",
    {"build.files": "fails in run_files: it returns '../config.json'; return a mapping of config.json and"},
    lambda: {"run_files": lambda _classes, _given: {"../config.json": {}}},
)
declared(
    "run-files-that-json-lacks",
    {"build.files": "fails in run_files: it returns values that JSON does not have"},
    lambda: {"run_files": lambda _classes, _given: {"config.json": {"scale": float("nan")}}},
)
declared(
    "run-files-that-fail",
    {"build.files": "fails in run_files: KeyError: 'id2label' ("},
    lambda: {"run_files": fail},
)
declared(
    "run-files-that-are-written",
    {"build.files": "run_files writes 'config.json' into the working directory; it must only return"},
    lambda: {"run_files": write_itself},
)
declared(
    "run-files-that-print",
    {"build.files": "run_files prints 'writing'; it must only return the content of the files"},
    lambda: {"run_files": print_first},
)
declared(
    "run-files-that-differ",
    {"build.files": "run_files returns different files each time; they must depend only on its arguments"},
    lambda: {"run_files": count_calls},
)
