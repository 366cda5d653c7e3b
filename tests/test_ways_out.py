"""The pages about ways to use a run elsewhere: their commands run, and give the golden probabilities."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from followed_page import ROOT, STEP, Reader

pytestmark = pytest.mark.breadth

NODE = shutil.which("node")
#: Folder node_modules with onnxruntime-web and sharp.
MODULES = os.environ.get("ZOO_TEST_NODE_MODULES")


def read_golden(folder: Path) -> dict[str, dict[str, float]]:
    text = (folder / "run/exports/onnx/golden/probabilities.json").read_text(encoding="utf-8")
    golden: dict[str, dict[str, float]] = json.loads(text)
    return golden


def check_lines(reader: Reader, folder: Path) -> None:
    """Compare the lines of JSON that the last command printed with the golden probabilities."""
    lines = [json.loads(line) for line in reader.printed.splitlines()]
    found = {Path(line["path"]).name: line["probabilities"] for line in lines}
    golden = read_golden(folder)
    assert found.keys() == golden.keys()
    for name, expected in golden.items():
        assert found[name] == pytest.approx(expected, abs=1e-4)


def test_the_page_on_onnx_runtime_in_python_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/onnx-python.md")
    for name, expected in read_golden(tmp_path).items():
        best = max(expected, key=lambda label: expected[label])
        assert f"{name}: {best} {expected[best]:.3f}\n" in reader.printed


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
@pytest.mark.skipif(not MODULES, reason="ZOO_TEST_NODE_MODULES is not set")
def test_the_page_on_node_runs_and_gives_the_golden_probabilities(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    (tmp_path / "node_modules").symlink_to(str(MODULES))
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/onnx-node.md")
    check_lines(reader, tmp_path)


def test_the_page_on_openvino_runs_and_gives_the_golden_probabilities(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/openvino.md")
    check_lines(reader, tmp_path)


def test_the_page_on_gradio_runs(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed")
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/gradio.md")
    code = "import app, PIL.Image as i; print(app.classify(i.new('RGB', (64, 64)))); "
    code += "_, url, _ = app.demo.launch(prevent_thread_lock=True, quiet=True); "
    code += "import urllib.request as r; print(r.urlopen(url).status); app.demo.close()"
    reader.environment |= {"GRADIO_ANALYTICS_ENABLED": "False"}
    reader.run(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", "", code=0)
    assert "'moons': " in reader.printed
    assert "\n200\n" in reader.printed


def read_dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile on the page."""
    page = (ROOT / "docs/how-to/docker.md").read_text(encoding="utf-8")
    [text] = [step["text"] for step in STEP.finditer(page) if step["path"] == "Dockerfile"]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in text.splitlines()]


def test_the_instructions_of_the_dockerfile_are_valid() -> None:
    instructions = read_dockerfile()
    known = {"FROM", "ARG", "RUN", "COPY", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in instructions} == known
    for command in (value for name, value in instructions if name == "RUN"):
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_command_and_the_health_check_of_the_dockerfile_run(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    instructions = dict(read_dockerfile())
    reader = Reader(tmp_path)
    reader.run("zoo finetune tiny --data suns_moons --epochs 1 --output run", "run\n", code=0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    _, *check = json.loads(instructions["HEALTHCHECK"].removeprefix("CMD ").replace("8000", port))
    _, *command = json.loads(instructions["CMD"].replace("8000", port).replace("/run/model", "run"))
    arguments = [sys.executable, "-m", "zoo", *command]
    environment = reader.environment
    with subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert re.fullmatch(r"http://localhost:\d+\n", server.stdout.readline())
            subprocess.run([sys.executable, *check], check=True)
            with urlopen(f"http://localhost:{port}/", timeout=60) as page:
                assert page.status == 200
        finally:
            server.terminate()
    assert server.returncode == 143
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, *check], check=True, capture_output=True)
