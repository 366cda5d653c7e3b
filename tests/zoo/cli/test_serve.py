from __future__ import annotations

import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

import acme
import zoo.plugin
from zoo.registry.registry import Registry

pytest.importorskip("uvicorn", reason="uvicorn is not installed")

Main = Callable[..., int]
PLUGIN = """
from acme import make_acme
from zoo.plugin import hookimpl

ZOO_API = 1


@hookimpl
def zoo_backbones():
    return [make_acme()]
"""


@contextmanager
def serving(folder: Path, site: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start ``zoo serve`` with the plugin acme, and yield the process and the line that it prints."""
    (site / "zoo_acme-1.0.dist-info").mkdir(parents=True)
    (site / "zoo_acme.py").write_text(PLUGIN, encoding="utf-8")
    (site / "zoo_acme-1.0.dist-info" / "METADATA").write_text("Name: zoo-acme\nVersion: 1.0\n", encoding="utf-8")
    (site / "zoo_acme-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nacme = zoo_acme\n", encoding="utf-8")
    places = [site, Path(inspect.getfile(acme)).parent, Path(inspect.getfile(zoo.plugin)).parents[2]]
    path = os.pathsep.join([*map(str, places), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "zoo", "serve", str(folder), "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "acme"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.breadth), (signal.SIGINT, 130)]
)
def test_a_signal_ends_the_server_after_the_open_requests(
    folder: Path, photos: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    photo = min(photos.rglob("*.png")).read_bytes()
    with serving(folder, tmp_path / "site") as (process, line):
        port = int(line.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\n")
            connection.sendall(b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(photo))
            assert connection.recv(12) == b"HTTP/1.1 100"  # The request is open.
            process.send_signal(number)
            connection.sendall(photo)
            answer = b""
            while data := connection.recv(65536):
                answer += data
        out, err = process.communicate(timeout=60)
    assert b"HTTP/1.1 200 OK" in answer
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err


@pytest.mark.breadth
def test_only_the_address_is_on_stdout(folder: Path, tmp_path: Path) -> None:
    with serving(folder, tmp_path / "site", "--host", "0.0.0.0") as (process, line):
        assert re.fullmatch(r"http://localhost:\d+\n", line)
        with urlopen(f"{line.strip()}/info", timeout=60) as answer:
            assert json.load(answer)["classes"] == ["blue", "red"]
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "warning: everyone who can reach this machine can use the model\n" in err


@pytest.fixture
def only_acme(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)


@pytest.mark.usefixtures("only_acme")
def test_a_port_in_use_is_an_error(run: Main, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("serve", folder, "--port", str(port)) == 1
    expected = f"Error: cannot listen on --host 127.0.0.1 and --port {port}: Address already in use; choose others.\n"
    assert capfd.readouterr().err == expected


@pytest.mark.usefixtures("only_acme")
def test_a_host_of_another_machine_is_an_error(run: Main, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("serve", folder, "--host", "192.0.2.1", "--port", "0") == 1
    assert "cannot listen on --host 192.0.2.1 and --port 0: " in capfd.readouterr().err


@pytest.mark.usefixtures("only_acme")
def test_a_folder_without_a_model_is_an_error(run: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("serve", tmp_path, "--port", "0") == 1
    assert "is not a run folder" in capfd.readouterr().err


@pytest.mark.usefixtures("only_acme")
def test_missing_packages_are_named(
    run: Main, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hidden: dict[str, None] = {}
    monkeypatch.setattr("zoo.runs.serve.server.find_spec", hidden.get)
    assert run("serve", folder) == 1
    expected = "Error: serving needs starlette and uvicorn; install with: pip install 'zoo-backbones[serve]'\n"
    assert capfd.readouterr().err == expected
