"""``zoo finetune`` in a process of its own, with a plugin installed."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import zoo.plugin
from quick_runs import QUICK_FLAGS

PLUGIN = """
from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

ZOO_API = 1


def build(tag):
    from collections import OrderedDict

    from torch import nn

    layers = OrderedDict(stem=nn.Conv2d(3, 4, 3), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, 5))
    return nn.Sequential(layers)


@hookimpl
def zoo_backbones():
    yield BackboneSpec(
        name="bolt/net", family="bolt", build=build, head=("fc",), blocks=(BlockSpec("stem", ("stem",)),),
        num_classes=5, params=137, license="MIT", input=InputSpec(size=(3, 8, 8), resize=8),
    )


@hookimpl
def zoo_run_started(run):
    print("a tracker prints")
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which the plugin bolt is installed, which may print."""
    site = tmp_path / "site"
    (site / "zoo_bolt-1.0.dist-info").mkdir(parents=True)
    (site / "zoo_bolt.py").write_text(PLUGIN, encoding="utf-8")
    (site / "zoo_bolt-1.0.dist-info" / "METADATA").write_text("Name: zoo-bolt\nVersion: 1.0\n", encoding="utf-8")
    (site / "zoo_bolt-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nbolt = zoo_bolt\n", encoding="utf-8")
    package = Path(inspect.getfile(zoo.plugin)).parent.parent
    path = os.pathsep.join([str(site), str(package), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "bolt"}


def start(arguments: tuple[str | Path, ...], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zoo", "finetune", *map(str, arguments)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_stdout_is_only_the_run_folder_even_if_a_tracker_prints(
    photos: Path, tmp_path: Path, config: Path, installed: dict[str, str]
) -> None:
    with start(("bolt/net", "--data", photos, "--config", config, *QUICK_FLAGS), installed, tmp_path) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == "runs/net-photos-1\n"
    assert "a tracker prints" in err


def test_sigterm_keeps_the_best_epoch_and_writes_no_run_json(
    photos: Path, tmp_path: Path, config: Path, installed: dict[str, str]
) -> None:
    arguments = ("bolt/net", "--data", photos, "--config", config, *QUICK_FLAGS, "--epochs", "100000")
    with start((*arguments, "--output", "out"), installed, tmp_path) as process:
        assert process.stderr is not None
        seen = next(line for line in process.stderr if line.startswith("epoch 2:"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert seen
    assert process.returncode == 128 + signal.SIGTERM
    left = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert left == {"history.jsonl", "model.safetensors", "checkpoints"}


#: Writing is rated as so slow that a new best model stays in memory until the end.
SLOWLY = """
import zoo.runs.best_model as best
from zoo.__main__ import run

best.SHARE = 10**9
run()
"""


@pytest.mark.breadth
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_the_best_model_that_is_still_in_memory(
    photos: Path, tmp_path: Path, config: Path, installed: dict[str, str], number: signal.Signals
) -> None:
    out = tmp_path / "out"
    arguments = ("bolt/net", "--data", photos, "--config", config, *QUICK_FLAGS, "--epochs", "100000", "--output", out)
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
    with subprocess.Popen(
        [sys.executable, "-c", hear + SLOWLY, "finetune", *map(str, arguments)],
        cwd=tmp_path, env=installed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        ranks: list[tuple[float, float]] = []
        # A line is printed before its model is kept, so nothing is known yet about the last line.
        while len(ranks) < 3 or max(ranks[:-1]) == ranks[0]:
            found = re.search(r"val loss ([\d.]+) accuracy ([\d.]+)", next(process.stderr))
            ranks += [(float(found[2]), -float(found[1]))] if found else []
        first = (out / "model.safetensors").read_bytes()
        process.send_signal(number)
        process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert (out / "model.safetensors").read_bytes() != first
