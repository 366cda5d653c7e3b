"""Several processes that share a run, started by ``zoo finetune --devices`` or by torchrun."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

import zoo.plugin
from installed_sites import Site
from quick_runs import read_facts

Main = Callable[..., int]
Popen = subprocess.Popen[str]

#: A network whose processes write their ids to files, and a tracker. The tracker is slow if SLOWLY is set. It kills the
#: second process once if the file "kill" exists.
PLUGIN = """
import os
import signal
import time

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

ZOO_API = 1


def build(tag):
    from collections import OrderedDict

    from torch import nn

    with open(f"rank{os.environ['RANK']}", "w") as file:  # a file each, since printed lines could mix
        file.write(str(os.getpid()))
    layers = OrderedDict(stem=nn.Conv2d(3, 4, 3), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, 5))
    return nn.Sequential(layers)


@hookimpl
def zoo_backbones():
    yield BackboneSpec(
        name="bolt/net", family="bolt", build=build, head=("fc",), blocks=(BlockSpec("stem", ("stem",)),),
        num_classes=5, params=137, license="MIT", input=InputSpec(size=(3, 8, 8), resize=8),
    )


@hookimpl
def zoo_epoch_ended(epoch):
    if "SLOWLY" in os.environ:
        time.sleep(0.5)
    if epoch["epoch"] == 2 and os.path.exists("kill"):
        os.unlink("kill")
        with open("rank1") as file:
            os.kill(int(file.read()), signal.SIGKILL)
"""
FLAGS = ("--weights", "none", "--train", "all", "--batch-size", "8", "--epochs", "20")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which only this plugin is installed."""
    site = Site(tmp_path / "site")
    site.add("bolt", PLUGIN)
    root = Path(inspect.getfile(zoo.plugin)).parents[2]
    # An empty entry would be the current folder.
    path = os.pathsep.join(filter(None, [str(site.folder), str(root), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "bolt"}


@pytest.fixture
def begin(photos: Path, tmp_path: Path, config: Path, environment: dict[str, str]) -> Callable[..., Popen]:
    """Start a run in the folder "out" with a launcher."""

    def begin(launcher: Sequence[str], *more: str, safely: Sequence[str] = (), **variables: str) -> Popen:
        common = ("--data", str(photos), "--config", str(config), "--output", "out", "--device", "cpu", *FLAGS)
        one_thread = {"OMP_NUM_THREADS": "1"}  # as zoo sets for two processes here, so that rounding is the same
        return subprocess.Popen(
            [sys.executable, *safely, "-m", *launcher, "zoo", "finetune", *more, *common], cwd=tmp_path,
            env={**environment, **one_thread, **variables},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return begin


@pytest.fixture
def start(begin: Callable[..., Popen]) -> Callable[..., Popen]:
    """Start two processes with ``zoo finetune --devices``."""

    def start(backbone: str = "bolt/net", *more: str, **variables: str) -> Popen:
        return begin((), backbone, *more, "--devices", "2", **variables)

    return start


def wait_for(process: Popen, begin: str) -> None:
    """Wait for a line that begins with a text."""
    assert process.stderr is not None
    if not any(line.startswith(begin) for line in process.stderr):
        raise AssertionError(f"it ended with {process.wait()} before it printed {begin!r}")


def read_ids(folder: Path) -> dict[str, int]:
    """Return the process ids by rank."""
    return {path.name: int(path.read_text()) for path in folder.glob("rank*")}


def find_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.breadth
def test_a_signal_saves_a_checkpoint_and_the_same_command_resumes(start: Callable[..., Popen], tmp_path: Path) -> None:
    with start(SLOWLY="1") as process:
        wait_for(process, "epoch 2:")
        assert read_ids(tmp_path).keys() == {"rank0", "rank1"}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    assert "checkpoint saved in out after" in err
    assert not re.search(r"^[A-Z]\d{4} ", err, re.MULTILINE)  # no log line of torch
    assert not (tmp_path / "out" / "run.json").exists()
    with start("bolt/net", "--resume") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "out\n"), err
    facts = read_facts(tmp_path / "out")
    assert (facts["hardware"]["processes"], facts["epochs"], len(facts["resumed"])) == (2, 20, 1)


@pytest.mark.breadth
def test_a_killed_process_is_reported_and_the_other_one_ends(start: Callable[..., Popen], tmp_path: Path) -> None:
    with start(SLOWLY="1") as process:
        wait_for(process, "epoch 2:")
        ids = read_ids(tmp_path)
        os.kill(ids["rank1"], signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == "Error: rank 1 was killed by SIGKILL; continue the run with --resume."
    assert "Traceback" not in err
    assert any((tmp_path / "out" / "checkpoints").glob("*.safetensors"))
    with pytest.raises(ProcessLookupError):
        os.kill(ids["rank0"], 0)


@pytest.mark.breadth
@pytest.mark.parametrize("launchers", [1, 2])
def test_torchrun_restarts_a_killed_process_and_the_model_is_the_same(
    begin: Callable[..., Popen], start: Callable[..., Popen], tmp_path: Path, launchers: int
) -> None:
    torchrun = (
        "torch.distributed.run", f"--nnodes={launchers}", f"--nproc-per-node={2 // launchers}", "--max-restarts=1",
        "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{find_port()}", "-m",
    )  # fmt: skip
    with start() as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "out\n"), err
    deferring_signals = (tmp_path / "out" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "kill").touch()
    with ExitStack() as started:
        each = [started.enter_context(begin(torchrun, "bolt/net", "--resume")) for _ in range(launchers)]
        said = [process.communicate(timeout=120) for process in each]
    assert [process.returncode for process in each] == [0] * launchers, said
    facts = read_facts(tmp_path / "out")
    assert (facts["hardware"]["processes"], len(facts["resumed"])) == (2, 1)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == deferring_signals


@pytest.mark.breadth
def test_a_user_error_in_all_processes_is_printed_once(start: Callable[..., Popen]) -> None:
    with start("bolt/nett") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("Error: no backbone 'bolt/nett'")


@pytest.mark.breadth
def test_the_current_folder_and_the_variables_of_torchrun_do_not_change_the_command(
    begin: Callable[..., Popen], tmp_path: Path
) -> None:
    (tmp_path / "zoo.py").write_text("raise SystemExit(9)")
    with begin((), "bolt/nett", "--devices", "2", safely=["-P"], PET_NNODES="2", PET_NO_PYTHON="1") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, ""), err
    assert err.startswith("Error: no backbone 'bolt/nett'")


def test_zero_devices_are_refused(run: Main, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("finetune", "acme/net", "--data", photos, "--devices", "0") == 1
    assert capsys.readouterr().err == "Error: --devices must be at least 1, got 0.\n"
