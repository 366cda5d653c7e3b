"""What makes an accuracy unreliable is in run.json, in the report, in the model card and in zoo compare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from quick_runs import QUICK
from recording_progress import RecordingProgress
from zoo.registry.registry import Registry
from zoo.runs.compare import compare_runs, list_doubts
from zoo.training.finetune import finetune

LEAK = "1 val image also appears in train, so val accuracy is too optimistic"


def test_a_leak_is_reported_everywhere(registry: Registry, leaking: Path, tmp_path: Path) -> None:
    progress = RecordingProgress()
    run = finetune("net", leaking, output=tmp_path / "run", registry=registry, progress=progress, **QUICK)
    assert f"warning: {LEAK}" in progress.lines
    (leak,) = (found for found in run.facts["data"]["findings"] if found["kind"] == "leak")
    assert (leak["split"], leak["count"]) == ("val", 1)
    (listed,) = leak["listed"]
    assert Path(listed["path"]).name == "leak.png"
    assert json.loads((run.path / "run.json").read_text())["data"]["findings"] == run.facts["data"]["findings"]
    assert LEAK in (run.path / "README.md").read_text()
    report = (run.path / "report.html").read_text()
    assert LEAK in report
    assert "leak.png" in report
    (compared,) = compare_runs([run.path])
    assert compared.warnings == (LEAK,)
    assert f"{run.path}: {LEAK}" in list_doubts([compared])


def test_without_findings_no_accuracy_is_doubted(registry: Registry, photos: Path, tmp_path: Path) -> None:
    run = finetune("net", photos, output=tmp_path / "run", registry=registry, **QUICK)
    assert not any(found["kind"] == "leak" for found in run.facts["data"]["findings"])
    assert compare_runs([run.path])[0].warnings == ()
    assert "Warning" not in (run.path / "README.md").read_text()


def test_rare_classes_are_reported_with_advice(registry: Registry, photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "rare"
    shutil.copytree(photos, root)
    first, *others = sorted((root / "train").iterdir())
    for image in sorted(first.iterdir())[1:]:
        image.unlink()
    for number in range(12):
        source = min(others[0].iterdir())
        shutil.copy(source, source.with_name(f"copy{number}.png"))
    progress = RecordingProgress()
    finetune("net", root, output=tmp_path / "run", registry=registry, progress=progress, **QUICK)
    assert any("consider `balance` loss or sampling" in line for line in progress.lines)
