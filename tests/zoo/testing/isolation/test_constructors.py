"""Constructors run where zoo cannot be imported, each in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from zoo.testing.isolation import constructors
from zoo.testing.isolation.constructors import build_without_zoo
from zoo.testing.results.result import CheckFailed

LINEAR = ["from torch import nn", "", "model = nn.Linear(3, 2)"]
SHAPES = {"weight": (2, 3), "bias": (2,)}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of modules on the path. A process belongs to a path, so all tests have the same one."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "zoology.py").write_text("from torch import nn\n\n\ndef make():\n    return nn.Linear(3, 2)\n")
    (folder / "needy.py").write_text("import torch\n\nfrom zoo.plugin import hookimpl\n")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(folder))
        yield folder
    constructors._stop_all()


def build(*lines: str, on_meta_device: bool = True) -> Mapping[str, tuple[int, ...]]:
    return build_without_zoo(lines, on_meta_device=on_meta_device)


def refusal(*lines: str) -> str:
    with pytest.raises(CheckFailed) as caught:
        build(*lines)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("on_meta_device", [True, False])
def test_the_names_and_shapes_of_the_tensors_are_returned(*, on_meta_device: bool) -> None:
    assert build(*LINEAR, on_meta_device=on_meta_device) == SHAPES


def test_a_large_network_takes_no_memory_on_the_meta_device() -> None:
    assert build("from torch import nn", "model = nn.Linear(2**20, 2**20)")["weight"] == (2**20, 2**20)


@pytest.mark.parametrize("line", ["import zoo", "import zoo.plugin", "from zoo.plugin import BackboneSpec"])
def test_zoo_cannot_be_imported(line: str) -> None:
    message = refusal("import torch", line, "model = torch.nn.Linear(1, 1)")
    assert "its constructor raises ModuleNotFoundError: No module named 'zoo'" in message
    assert f" in line 2, {line!r}; the constructor must work where zoo is not installed" in message


def test_only_a_missing_zoo_is_explained_with_zoo() -> None:
    assert "where zoo is not installed" not in refusal("import zoonomia", "model = None")


def test_no_module_of_zoo_is_loaded_before_the_constructor_runs() -> None:
    line = "assert not [name for name in sys.modules if name.partition('.')[0] == 'zoo']"
    assert build("import sys", line, *LINEAR) == SHAPES


def test_other_names_that_begin_with_zoo_can_be_imported() -> None:
    assert build("import zoology", "model = zoology.make()") == SHAPES


def test_the_place_in_a_module_that_needs_zoo_is_named(folder: Path) -> None:
    message = refusal("import needy", "model = needy.Net()")
    assert f" in line 1, 'import needy' ({folder / 'needy.py'}:3); the constructor must work" in message


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["import absent_of_all", "model = 1"], "ModuleNotFoundError: No module named 'absent_of_all' in line 1, "),
        (["", "model = Net()"], "NameError: name 'Net' is not defined in line 2, 'model = Net()'"),
        (["model = (", ""], "SyntaxError: '(' was never closed (<constructor>, line 1) in line 1, 'model = ('"),
        (["net = 1"], "KeyError: 'model'"),
        (["model = 1"], "TypeError: model is of type int, not an nn.Module"),
        (["model = 1", "raise SystemExit(3)"], "SystemExit: 3 in line 2"),
        (["import os", "model = os._exit(4)"], "ends the process with exit code 4"),
        (["import os", "model = os.kill(os.getpid(), 9)"], "ends the process with exit code -9"),
    ],
)
def test_a_failure_names_the_line(lines: list[str], says: str) -> None:
    message = refusal(*lines)
    assert message.startswith("its constructor ")
    assert says in message
    assert message.endswith("; correct the constructor.")


def test_a_constructor_cannot_affect_the_next_one() -> None:
    build("import torch", "torch.nn.Linear = None", "model = torch.nn.ReLU()")
    assert build(*LINEAR) == SHAPES


def test_what_a_constructor_prints_is_not_an_answer(capfd: pytest.CaptureFixture[str]) -> None:
    assert build("import os", "print('{}')", "os.write(1, b'{}\\n')", *LINEAR) == SHAPES
    assert capfd.readouterr() == ("", "")


@pytest.mark.breadth
def test_a_process_that_ends_is_started_again() -> None:
    build(*LINEAR)
    (process,) = constructors._processes.values()
    process.kill()
    process.wait()
    assert "ends its process, or takes longer" in refusal(*LINEAR)
    assert build(*LINEAR) == SHAPES


@pytest.mark.breadth
def test_a_constructor_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    build(*LINEAR)
    monkeypatch.setattr(constructors, "PATIENCE", 1.0)
    assert "takes longer than 1 seconds" in refusal("import threading", "model = threading.Event().wait(20)")


def test_a_constructor_that_reads_input_gets_none() -> None:
    assert "raises EOFError" in refusal("input()", *LINEAR)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_that_a_constructor_leaves_behind_does_not_keep_the_kit_waiting(
    tmp_path: Path,
) -> None:
    path = tmp_path / "id"
    leave = ["import os, time", "child = os.fork()", "if not child:", "    os.setsid()", "    time.sleep(600)"]
    try:
        assert build(*leave, f"open({str(path)!r}, 'w').write(str(child))", *LINEAR) == SHAPES
    finally:
        os.kill(int(path.read_text()), signal.SIGKILL)
