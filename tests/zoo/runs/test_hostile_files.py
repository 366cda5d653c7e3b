"""Files that were changed at random: zoo refuses them with an error of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from changed_files import CHECKPOINT, EPOCH, READERS, VALIDATIONS, find_failures
from run_facts import make_facts
from zoo.errors import RunError
from zoo.files.schema import CheckpointFacts
from zoo.files.validation import check
from zoo.runs.compare import compare_runs
from zoo.runs.confusion import is_consistent
from zoo.runs.report.context import make_context

#: Number of changed files of each kind. `tests/faults/hostile_files.py` tests more.
COUNT = 200


@pytest.mark.parametrize("kind", READERS)
def test_a_changed_file_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    assert [*find_failures(kind, tmp_path, range(COUNT))] == []


@pytest.mark.parametrize("kind", READERS)
def test_without_the_validation_changed_files_cause_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(VALIDATIONS[kind], lambda value, _kind: value)
    assert any(find_failures(kind, tmp_path, range(COUNT)))


@pytest.mark.parametrize("kind", READERS)
def test_the_unchanged_file_is_accepted(tmp_path: Path, kind: str) -> None:
    READERS[kind](tmp_path, None)


def test_the_unchanged_facts_are_accepted() -> None:
    assert check(CHECKPOINT, CheckpointFacts) == CHECKPOINT
    assert make_context(make_facts(), [EPOCH])["title"] == "net on photos"


@pytest.mark.parametrize(
    ("changes", "is_valid"),
    [
        ({}, True),
        ({"confusion": {"true": [0, 0], "predicted": [0, 1], "images": [90, 10]}}, True),
        ({"confusion": [[90, 10]]}, False),
        ({"confusion": [[90, 11], [0, 0]]}, False),
        ({"confusion": {"true": [0, 2], "predicted": [0, 1], "images": [90, 10]}}, False),
        ({"confusion": {"true": [0], "predicted": [0, 1], "images": [90, 10]}}, False),
        ({"images": 99}, False),
        ({"per_class": {}}, False),
    ],
)
def test_metrics_must_agree_with_each_other(changes: dict[str, Any], *, is_valid: bool) -> None:
    assert is_consistent({**make_facts()["val"], **changes}, ["blue", "red"]) == is_valid


@pytest.mark.parametrize(
    "text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "1" * 10_000, "NaN"]
)
def test_json_that_breaks_parsers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        compare_runs([tmp_path])
