"""``zoo finetune --devices``: processes that it starts, and how they end."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo.plugin
from installed_sites import Site
from quick_runs import read_facts

Main = Callable[..., int]

#: A network whose processes tell their ids, and a tracker that needs its time where SLOWLY is set.
PLUGIN = """
import os
import time

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

ZOO_API = 1


def build(tag):
    from collections import OrderedDict

    from torch import nn

    with open(f"rank{os.environ['RANK']}", "w") as file:  # lines would run into each other
        file.write(str(os.getpid()))
    layers = OrderedDict(stem=nn.Conv2d(3, 4, 3), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, 5))
    return nn.Sequential(layers)


@hookimpl
def zoo_backbones():
    yield BackboneSpec(
        name="bolt/net", family="bolt", build=build, head=("fc",), blocks=(BlockSpec("stem", ("stem",)),),
        num_classes=5, params=137, licence="MIT", input=InputSpec(size=(3, 8, 8), resize=8),
    )


@hookimpl
def zoo_epoch_ended(epoch):
    if "SLOWLY" in os.environ:
        time.sleep(0.5)
"""
FLAGS = ("--weights", "none", "--train", "all", "--batch-size", "8", "--epochs", "20")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where the plugin is installed, alone."""
    site = Site(tmp_path / "site")
    site.add("bolt", PLUGIN)
    package = Path(inspect.getfile(zoo.plugin)).parent.parent
    path = os.pathsep.join([str(site.folder), str(package), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "bolt"}


@pytest.fixture
def start(
    photos: Path, tmp_path: Path, config: Path, environment: dict[str, str]
) -> Callable[..., subprocess.Popen[str]]:
    """Start two processes that share a run in the folder out."""

    def start(backbone: str = "bolt/net", *more: str, **variables: str) -> subprocess.Popen[str]:
        arguments = (backbone, "--data", str(photos), "--config", str(config), "--output", "out", *FLAGS, *more)
        return subprocess.Popen(
            [sys.executable, "-m", "zoo", "finetune", *arguments, "--devices", "2", "--device", "cpu"],
            cwd=tmp_path, env={**environment, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def wait_for(process: subprocess.Popen[str], begin: str) -> None:
    """Wait for a line that begins so."""
    assert process.stderr is not None
    if not any(line.startswith(begin) for line in process.stderr):
        raise AssertionError(f"it ended with {process.wait()} before it said {begin!r}")


def read_ids(folder: Path) -> dict[str, int]:
    """Read which process was which."""
    return {path.name: int(path.read_text()) for path in folder.glob("rank*")}


def test_a_signal_ends_all_with_the_state_saved_and_the_same_command_goes_on(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with start(SLOWLY="1") as process:
        wait_for(process, "epoch 2:")
        assert read_ids(tmp_path).keys() == {"rank0", "rank1"}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    assert "state saved in out after" in err
    assert not re.search(r"^[A-Z]\d{4} ", err, re.MULTILINE)  # as torch's own lines begin
    assert not (tmp_path / "out" / "run.json").exists()
    with start("bolt/net", "--resume") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "out\n"), err
    facts = read_facts(tmp_path / "out")
    assert (facts["hardware"]["processes"], facts["epochs"], len(facts["resumed"])) == (2, 20, 1)


def test_a_process_that_is_killed_is_named_and_the_other_ends(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with start(SLOWLY="1") as process:
        wait_for(process, "epoch 2:")
        ids = read_ids(tmp_path)
        os.kill(ids["rank1"], signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == "Error: the process of rank 1 was ended by SIGKILL; --resume goes on."
    assert "Traceback" not in err
    assert any((tmp_path / "out" / "checkpoints").glob("*.safetensors"))
    with pytest.raises(ProcessLookupError):
        os.kill(ids["rank0"], 0)


def test_what_the_user_can_mend_is_one_line_of_all_processes(start: Callable[..., subprocess.Popen[str]]) -> None:
    with start("bolt/nett") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("Error: no backbone 'bolt/nett'")


def test_no_devices_are_refused_in_a_line(run: Main, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("finetune", "acme/net", "--data", photos, "--devices", "0") == 1
    assert capsys.readouterr().err == "Error: 0 devices; it takes at least one.\n"
