"""Output in any encoding, to a full disk, to a closed pipe and to closed streams."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from run_facts import make_facts
from zoo.registry.registry import Registry

Main = Callable[..., int]
#: A name that none of the encodings below can represent completely.
NAME = "猫 é \u0263 \U0001f600"
ENCODINGS = [
    "cp1252",
    "ascii",
    "utf-8",
    *(pytest.param(name, marks=pytest.mark.breadth) for name in ("gbk", "latin-1")),
]
QUICK = ("--weights", "none", "--epochs", "1", "--device", "cpu", "--set", "workers=0")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder with what `zoo compare` reads of a run."""
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "run.json").write_text(json.dumps(make_facts()), encoding="utf-8")
    return folder


@pytest.fixture
def print_in(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that runs a command with an encoding of stdout, and returns what it printed."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)

    def print_in(encoding: str, *arguments: str | Path) -> str:
        printed = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
        assert run(*arguments) == 0
        return printed.getvalue().decode(encoding)

    return print_in


def expect(encoding: str, text: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)


def start(*arguments: str | Path, stdout: int, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", *map(str, arguments)],
        cwd=cwd, env={**os.environ, **environment}, stdout=stdout, stderr=subprocess.PIPE, encoding="utf-8",
        errors="replace", timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_finetune_prints_the_run_folder_in_any_encoding(
    print_in: Callable[..., str], photos: Path, tmp_path: Path, encoding: str
) -> None:
    output = tmp_path / NAME
    assert print_in(encoding, "finetune", "net", "--data", photos, "--output", output, *QUICK) == (
        f"{expect(encoding, str(output))}\n"
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_csv_is_complete_and_json_is_exact_in_any_encoding(
    print_in: Callable[..., str], folder: Path, photos: Path, encoding: str
) -> None:
    images = [path.rename(path.with_name(f"{NAME}{path.name}")) for path in (photos / "val" / "blue").iterdir()]
    command = ("predict", folder, photos / "val" / "blue", "--device", "cpu")
    rows = list(csv.DictReader(print_in(encoding, *command, "--csv").splitlines()))
    assert [row["path"] for row in rows] == [expect(encoding, str(image)) for image in sorted(images)]
    assert [item["path"] for item in json.loads(print_in(encoding, *command, "--json"))] == [*map(str, sorted(images))]


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "gbk:strict"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
    ids=str,
)
def test_a_process_in_any_locale_prints_the_result(finished: Path, environment: dict[str, str]) -> None:
    done = start("compare", finished.name, stdout=subprocess.PIPE, cwd=finished.parent, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "acme/net" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("list", "--json"), ""),
        (("compare", NAME), "1"),
        pytest.param(("list", "--json"), "1", marks=pytest.mark.breadth),
        pytest.param(("compare", NAME), "", marks=pytest.mark.breadth),
        *(pytest.param(("cache", "list", "--json"), value, marks=pytest.mark.breadth) for value in ("", "1")),
    ],
    ids=str,
)
def test_a_full_disk_is_one_line_on_stderr_and_exit_code_1(
    finished: Path, arguments: tuple[str, ...], unbuffered: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = start(*arguments, stdout=full.fileno(), cwd=finished.parent, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write to stdout: No space left on device.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        ("--version", "1"),
        ("list --help", ""),
        *(
            pytest.param(arguments, value, marks=pytest.mark.breadth)
            for arguments in ("--help", "plugin new --help")
            for value in ("", "1")
        ),
        pytest.param("--version", "", marks=pytest.mark.breadth),
        pytest.param("list --help", "1", marks=pytest.mark.breadth),
    ],
)
def test_help_on_a_full_disk_is_one_line_on_stderr_and_exit_code_1(
    tmp_path: Path, arguments: str, unbuffered: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = start(*arguments.split(), stdout=full.fileno(), cwd=tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write to stdout: No space left on device.\n")


@pytest.mark.parametrize("arguments", [("list", "--json"), ("--help",)], ids=str)
def test_a_closed_pipe_ends_the_command_quietly(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = start(*arguments, stdout=writer, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("stderr", "unbuffered"),
    [
        ("/dev/full", ""),
        pytest.param("/dev/full", "1", marks=pytest.mark.breadth),
        pytest.param("a closed pipe", "", marks=pytest.mark.breadth),
        pytest.param("a closed pipe", "1", marks=pytest.mark.breadth),
    ],
)
def test_a_run_is_complete_even_if_stderr_cannot_be_written(
    few_photos: Path, tmp_path: Path, stderr: str, unbuffered: str
) -> None:
    command = [sys.executable, "-m", "zoo", "finetune", "tiny", "--data", few_photos, "--output", "run", *QUICK]
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full, open(writer, "wb") as closed:  # noqa: PTH123  # a descriptor
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, stdout=subprocess.PIPE,
            stderr=full if stderr == "/dev/full" else closed, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "run\n")
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_error_keeps_its_exit_code_even_if_stderr_cannot_be_written(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "zoo", "info", "nothing/such"]
        assert subprocess.run(command, cwd=tmp_path, stderr=full, timeout=60, check=False).returncode == 1


def test_notes_do_not_go_to_stdout_if_stderr_is_closed(tmp_path: Path) -> None:
    command = ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m zoo cache list 2>&-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("arguments", ["list", "list --json", "plugins"])
def test_a_result_that_cannot_be_printed_because_stdout_is_closed_is_an_error(tmp_path: Path, arguments: str) -> None:
    command = ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m zoo {arguments} >&-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "Error: cannot write to stdout: it is closed."


def test_a_traceback_is_printable(tmp_path: Path) -> None:
    done = start("--debug", "info", "\x1b[31m", stdout=subprocess.PIPE, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "\x1b" not in done.stderr
