from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from made_registries import registry_of
from quick_runs import FILES, QUICK, read_facts
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
