from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from loopback_hub import TOKEN, LoopbackHub, open_hub

Main = Callable[..., int]

# huggingface_hub uses an outdated argument of its HTTP client.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_the_address_of_the_commit_is_the_last_line(
    run: Main, folder: Path, hub: LoopbackHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.put("me/first", {"config.json": b"{}"})
    assert run("push", folder, "me/first") == 0
    shown = capsys.readouterr()
    assert shown.out == f"hf://me/first@{hub.repos['me/first'].refs['main']}\n"
    assert "note: removed config.json, which belonged to an earlier run\n" in shown.err


def test_the_json_output_lists_the_files(
    run: Main, folder: Path, hub: LoopbackHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("push", folder, "me/first", "--include", "predictions", "--private", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["repo"] == "me/first"
    assert answer["revision"] == hub.repos["me/first"].refs["main"]
    assert "predictions.jsonl" in answer["files"]
    assert hub.repos["me/first"].visibility == "private"


def test_an_error_is_one_line(run: Main, folder: Path, hub: LoopbackHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.refusals["me/first"] = 403, ""
    assert run("push", folder, "me/first") == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        "Error: the Hub refuses access to me/first (HTTP 403); log in with `hf auth login`, or set HF_TOKEN."
    ]


@pytest.mark.breadth
def test_a_private_run_is_pushed_pulled_and_used_offline_in_fresh_processes(few_photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    folder = zoo.finetune("tiny", few_photos, output=tmp_path / "run", epochs=1, device="cpu", workers=0).path
    home, image = tmp_path / "home", next(few_photos.rglob("val/**/*.png"))
    home.mkdir()
    (home / "login").write_text(TOKEN, encoding="utf-8")  # as `hf auth login` stores it

    def call(*arguments: str | Path, **environment: str) -> str:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ZOO_OFFLINE"))}
        own |= {"HF_HOME": str(home), "HF_TOKEN_PATH": str(home / "login"), "HF_HUB_DISABLE_XET": "1", **environment}
        command = [sys.executable, "-m", "zoo", *map(str, arguments)]
        return subprocess.run(command, env=own, capture_output=True, text=True, check=True).stdout

    with open_hub() as hub:
        address = call("push", folder, "me/first", "--private", HF_ENDPOINT=hub.url).strip()
        online = call("predict", address, image, "--json", HF_ENDPOINT=hub.url)
        assert hub.repos["me/first"].visibility == "private"
    assert json.loads(online)[0]["top"] == json.loads(call("predict", folder, image, "--json"))[0]["top"]
    for variable in ("HF_HUB_OFFLINE", "ZOO_OFFLINE"):
        assert call("predict", address, image, "--json", **{variable: "1"}) == online
    pulled = home / "hub" / "models--me--first" / "snapshots" / address.partition("@")[2]
    assert (pulled / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
