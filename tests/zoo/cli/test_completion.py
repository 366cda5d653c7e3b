from __future__ import annotations

from pathlib import Path

import click
import pytest

from zoo.cli.completion import complete_run
from zoo.cli.finetune import command as finetune
from zoo.cli.predict import command
from zoo.registry.schedule_design import SCHEDULES


def test_names_that_a_terminal_would_interpret_are_not_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net-1", "net-\x1b[31m", "net-\n", "net-猫"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").touch()
    items = complete_run(click.Context(command), command.params[0], "runs/net")
    assert [item.value for item in items if item.type == "plain"] == ["runs/net-1", "runs/net-猫"]


@pytest.mark.parametrize(("typed", "expected"), [("", sorted(SCHEDULES)), ("c", ["constant", "cosine"]), ("step:", [])])
def test_the_names_of_schedules_are_completed(typed: str, expected: list[str]) -> None:
    (option,) = (param for param in finetune.params if param.name == "schedule")
    items = option.shell_complete(click.Context(finetune), typed)
    assert [item.value for item in items] == expected
