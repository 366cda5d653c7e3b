"""An evaluation reads data of the same kind as the run did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quick_runs import QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.errors import DataError, OptionError, RunError
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.training.finetune import finetune
from zoo.training.run import Run


@pytest.fixture
def progress() -> RecordingProgress:
    return RecordingProgress()


@pytest.fixture
def evaluate(run: Run, registry: Registry, progress: RecordingProgress) -> Callable[..., dict[str, Any]]:
    """A function that evaluates the run after changing the kind of its data and its options in run.json."""

    def evaluate(data: Any, kind: str, own: dict[str, str], **options: Any) -> dict[str, Any]:
        facts = read_facts(run.path)
        facts["data"]["kind"] = kind
        facts["recipe"] |= own
        (run.path / "run.json").write_text(json.dumps(facts), encoding="utf-8")
        classifier = load(run.path, device="cpu", registry=registry)
        return classifier.evaluate(data, registry=registry, progress=progress, **options)

    return evaluate


@pytest.fixture
def table(photos: Path) -> Path:
    """A table of the val images whose columns have unusual names."""
    rows = [f"{path.relative_to(photos).as_posix()},{path.parent.name}" for path in (photos / "val").rglob("*.png")]
    (photos / "t.csv").write_text("\n".join(["picture,color", *sorted(rows)]), encoding="utf-8")
    return photos / "t.csv"


@pytest.fixture
def named(photos: Path, tmp_path: Path) -> Path:
    """A folder of the val images whose file names contain the class."""
    (tmp_path / "named").mkdir()
    for path in (photos / "val").rglob("*.png"):
        (tmp_path / "named" / f"{path.parent.name}{path.name}").write_bytes(path.read_bytes())
    return tmp_path / "named"


COLUMNS = "image=picture,label=color"
PATTERN = "(blue|red)"


def list_notes(progress: RecordingProgress) -> list[str]:
    return [line for line in progress.lines if "as in the run" in line]


def test_a_table_is_read_with_the_columns_of_the_run(table: Path, evaluate: Any, progress: RecordingProgress) -> None:
    assert evaluate(table, "table", {"columns": f"{COLUMNS},weight=w"})["images"] == 10
    assert list_notes(progress) == [f"note: using `columns` {COLUMNS} as in the run; to use none, pass none"]


def test_a_folder_is_read_with_the_pattern_of_the_run(named: Path, evaluate: Any, progress: RecordingProgress) -> None:
    assert evaluate(named, "folder", {"label_from": PATTERN})["images"] == 10
    assert list_notes(progress) == [f"note: using `label_from` {PATTERN!r} as in the run; to use none, pass none"]


@pytest.mark.parametrize("columns", ["none", "image=picture,label=x"])
def test_given_columns_take_precedence(table: Path, evaluate: Any, progress: RecordingProgress, columns: str) -> None:
    with pytest.raises(DataError, match="no column"):
        evaluate(table, "table", {"columns": COLUMNS}, columns=columns)
    assert list_notes(progress) == []


def test_none_means_that_the_folders_are_the_classes(photos: Path, evaluate: Any, progress: RecordingProgress) -> None:
    assert evaluate(photos, "folder", {"label_from": "(green)"}, label_from="none")["images"] == 10
    assert list_notes(progress) == []


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("table", {"columns": COLUMNS}),
        ("folder-table", {"columns": COLUMNS}),
        ("shards", {"columns": "label=color"}),
        ("folder", {}),
    ],
)
def test_data_of_another_kind_is_read_without_the_options_of_the_run(
    photos: Path, evaluate: Any, progress: RecordingProgress, kind: str, own: dict[str, str]
) -> None:
    assert evaluate(photos, kind, own)["images"] == 10
    assert list_notes(progress) == []


def test_a_table_inside_a_folder_is_read_with_the_columns_of_the_run(
    photos: Path, table: Path, evaluate: Any, progress: RecordingProgress
) -> None:
    table.rename(photos / "metadata.csv")
    assert evaluate(photos, "folder-table", {"columns": COLUMNS})["images"] == 10
    assert len(list_notes(progress)) == 1


def test_a_run_records_the_kind_of_its_data(
    photos: Path, table: Path, tmp_path: Path, registry: Registry, progress: RecordingProgress
) -> None:
    options = {**QUICK, "registry": registry, "columns": COLUMNS}
    run = finetune("net", table, output=tmp_path / "of_table", **options)
    assert run.facts["data"]["kind"] == "table"
    result = load(run.path, device="cpu", registry=registry).evaluate(table, registry=registry, progress=progress)
    assert result["images"] == 10
    assert len(list_notes(progress)) == 1
    assert photos.exists()


def test_a_model_without_its_run_json_is_evaluated_without_options(
    run: Run, photos: Path, registry: Registry, progress: RecordingProgress
) -> None:
    (run.path / "run.json").unlink()
    result = load(run.path, device="cpu", registry=registry).evaluate(photos, registry=registry, progress=progress)
    assert result["images"] == 10


def test_a_damaged_run_json_is_an_error(run: Run, photos: Path, registry: Registry) -> None:
    (run.path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        load(run.path, device="cpu", registry=registry).evaluate(photos, registry=registry)


def test_the_weights_of_a_table_are_refused(table: Path, evaluate: Any) -> None:
    with pytest.raises(OptionError, match="leave out weight"):
        evaluate(table, "table", {}, columns=f"{COLUMNS},weight=w")
