"""Pairs are run alternately, saved, and resumed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import pairs
from pairs import Bench, check_settings, read_lines, run_pairs
from workloads import PEERS, WORKLOADS

#: Source of a script that writes to a log, and fails if its name is ``fails``.
SCRIPT = """
import json, os, sys
job = json.loads(sys.argv[1])
with open({log!r}, "a") as log:
    log.write(os.path.basename(__file__) + " " + str(job["seed"]) + "\\n")
if __file__.endswith({fails!r}):
    sys.exit("not today")
print(json.dumps({{"images": 1, "epochs": 1, "learning": 1, "accuracy": None, "aside": 0.0}}))
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(pairs, "SCRIPTS", tmp_path / "peers")
    (tmp_path / "peers").mkdir()
    (tmp_path / "figures").mkdir()
    write_scripts(tmp_path, fails="fastai_peer.py")
    return Bench(Path(sys.executable), tmp_path / "figures", tmp_path / "images", {}, "cpu", 1, None)


def write_scripts(folder: Path, fails: str) -> None:
    for script in ("ours.py", *(peer.script for peer in PEERS.values())):
        text = SCRIPT.format(log=str(folder / "log"), fails=fails)
        (folder / "peers" / script).write_text(text, encoding="utf-8")


def read_log(folder: Path) -> list[str]:
    return (folder / "log").read_text(encoding="utf-8").splitlines()


def test_zoo_runs_before_each_peer_and_each_pair_has_its_own_seed(bench: Bench, tmp_path: Path) -> None:
    run_pairs(bench, WORKLOADS["frozen"], ["tutorial", "limit"], 2)
    first, second = [
        [f"{name} {seed}" for name in ("ours.py", "tutorial.py", "ours.py", "limit.py")] for seed in (0, 1)
    ]
    assert read_log(tmp_path) == first + second


def test_a_peer_that_fails_does_not_stop_the_others_and_is_run_again(bench: Bench, tmp_path: Path) -> None:
    run_pairs(bench, WORKLOADS["frozen"], ["fastai", "limit"], 1)
    fastai, limit = read_lines(bench.folder / "frozen.jsonl")
    assert "not today" in fastai["theirs"]["error"]
    assert "answer" in limit["theirs"]
    write_scripts(tmp_path, fails="none")
    run_pairs(bench, WORKLOADS["frozen"], ["fastai", "limit"], 1)
    assert read_log(tmp_path)[4:] == ["ours.py 0", "fastai_peer.py 0"]
    assert all("answer" in line["theirs"] for line in read_lines(bench.folder / "frozen.jsonl"))


def test_results_with_different_settings_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    check_settings(path, {"code": "a", "device": "cpu"})
    check_settings(path, {"code": "a", "device": "cpu"})
    with pytest.raises(ValueError, match="different code"):
        check_settings(path, {"code": "b", "device": "cpu"})
    assert json.loads(path.read_text(encoding="utf-8"))["code"] == "a"
