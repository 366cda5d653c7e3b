from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from made_registries import registry_of
from quick_runs import FILES, QUICK, read_facts
from told import Told
from zoo.plugin import BackboneSpec
from zoo.training.finetune import finetune


def test_plugins_hear_of_the_start_every_epoch_and_the_end(acme: BackboneSpec, photos: Path, output: Path) -> None:
    heard: list[Any] = []

    def zoo_run_started(run: Mapping[str, Any]) -> None:
        heard.append(run["backbone"])

    def zoo_epoch_ended(epoch: Mapping[str, Any]) -> None:
        heard.append(epoch["epoch"])

    def zoo_run_finished(run: Mapping[str, Any]) -> None:
        heard.append(run["best"]["epoch"])

    hooks = {function.__name__: function for function in (zoo_run_started, zoo_epoch_ended, zoo_run_finished)}
    options = {**QUICK, "epochs": 2}
    run = finetune("net", photos, output=output, registry=registry_of(acme, **hooks), **options)
    assert heard == ["acme/net", 1, 2, run.facts["best"]["epoch"]]


def test_every_event_tells_where_the_run_is(acme: BackboneSpec, photos: Path, output: Path) -> None:
    heard: list[str] = []

    def hear(run: Mapping[str, Any]) -> None:
        heard.append(run["path"])

    hooks = dict.fromkeys(("zoo_run_started", "zoo_epoch_ended", "zoo_run_finished"), hear)
    run = finetune("net", photos, output=output, registry=registry_of(acme, **hooks), **QUICK)
    assert heard == [str(output)] * 3
    assert "path" not in run.facts


def test_the_run_is_complete_on_disk_when_plugins_hear_of_its_end(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    seen: list[str] = []

    def zoo_run_finished() -> None:
        seen.extend(sorted(path.name for path in output.iterdir()))

    finetune("net", photos, output=output, registry=registry_of(acme, zoo_run_finished=zoo_run_finished), **QUICK)
    assert seen == FILES


@pytest.mark.parametrize("event", ["zoo_run_started", "zoo_epoch_ended", "zoo_run_finished"])
@pytest.mark.parametrize("error", [ConnectionError, SystemExit])
def test_a_tracker_that_fails_does_not_stop_the_run(
    acme: BackboneSpec, photos: Path, output: Path, event: str, error: type[BaseException]
) -> None:
    def fail(run: Mapping[str, Any]) -> None:
        raise error(f"no server for {run['backbone']}")

    told = Told()
    registry = registry_of(acme, **{event: fail})
    run = finetune("net", photos, output=output, registry=registry, progress=told, **QUICK)
    assert read_facts(run.path)["best"]
    (warning,) = [line for line in told.lines if line.startswith("warning: ")]
    assert f"plugin acme failed in {event}" in warning
    assert f"{error.__name__}: no server for acme/net" in warning
