from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from interrupted_runs import Interrupts
from made_registries import registry_of
from quick_runs import FILES, LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.plugin import BackboneSpec
from zoo.training.finetune import finetune


def test_plugins_are_notified_of_the_start_every_epoch_and_the_end(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    events: list[Any] = []

    def zoo_run_started(run: Mapping[str, Any]) -> None:
        events.append(run["backbone"])

    def zoo_epoch_ended(epoch: Mapping[str, Any]) -> None:
        events.append(epoch["epoch"])

    def zoo_run_finished(run: Mapping[str, Any]) -> None:
        events.append(run["best"]["epoch"])

    hooks = {function.__name__: function for function in (zoo_run_started, zoo_epoch_ended, zoo_run_finished)}
    options = {**QUICK, "epochs": 2}
    run = finetune("net", photos, output=output, registry=registry_of(acme, **hooks), **options)
    assert events == ["acme/net", 1, 2, run.facts["best"]["epoch"]]


def test_every_event_includes_the_path_of_the_run(acme: BackboneSpec, photos: Path, output: Path) -> None:
    events: list[str] = []

    def note(run: Mapping[str, Any]) -> None:
        events.append(run["path"])

    hooks = dict.fromkeys(("zoo_run_started", "zoo_epoch_ended", "zoo_run_finished"), note)
    run = finetune("net", photos, output=output, registry=registry_of(acme, **hooks), **QUICK)
    assert events == [str(output)] * 3
    assert "path" not in run.facts


def test_the_run_folder_is_complete_when_plugins_are_notified_of_the_end(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    seen: list[str] = []

    def zoo_run_finished() -> None:
        seen.extend(sorted(path.name for path in output.iterdir()))

    finetune("net", photos, output=output, registry=registry_of(acme, zoo_run_finished=zoo_run_finished), **QUICK)
    assert seen == FILES


@pytest.mark.parametrize("event", ["zoo_run_started", "zoo_epoch_ended", "zoo_run_finished"])
@pytest.mark.parametrize("error", [ConnectionError, SystemExit])
def test_a_failing_tracker_does_not_stop_the_run(
    acme: BackboneSpec, photos: Path, output: Path, event: str, error: type[BaseException]
) -> None:
    def fail(run: Mapping[str, Any]) -> None:
        raise error(f"no server for {run['backbone']}")

    progress = RecordingProgress()
    registry = registry_of(acme, **{event: fail})
    run = finetune("net", photos, output=output, registry=registry, progress=progress, **QUICK)
    assert read_facts(run.path)["best"]
    (warning,) = [line for line in progress.lines if line.startswith("warning: ")]
    assert f"plugin acme failed in {event}" in warning
    assert f"{error.__name__}: no server for acme/net" in warning


def test_trackers_know_from_the_start_at_which_epochs_a_run_has_resumed(
    acme: BackboneSpec, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def zoo_run_started(run: Mapping[str, Any]) -> None:
        seen.append(run.get("resumed"))

    Interrupts(monkeypatch, 2, 10)  # in epochs 1 and 3, because an epoch has 4 steps
    registry = registry_of(acme, zoo_run_started=zoo_run_started)
    for _ in range(3):
        with suppress(KeyboardInterrupt):
            finetune("net", photos, output=output, registry=registry, resume=True, **LEARNS)
    assert seen == [None, [1], [1, 3]]


def test_a_run_interrupted_by_a_tracker_that_has_written_into_its_folder_can_resume(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    def zoo_run_started(run: Mapping[str, Any]) -> None:
        (Path(run["path"]) / "notes.txt").touch()
        if not (output / "interrupted").exists():
            (output / "interrupted").touch()
            raise KeyboardInterrupt

    registry = registry_of(acme, zoo_run_started=zoo_run_started)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=output, registry=registry, **QUICK)
    assert finetune("net", photos, output=output, registry=registry, resume=True, **QUICK).facts["best"]
