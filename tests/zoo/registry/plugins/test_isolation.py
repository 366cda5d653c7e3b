from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zoo.errors import PluginError
from zoo.registry.plugins.isolation import Output, describe_in_one_line, failing_as_plugin_error, isolated
from zoo.registry.plugins.load import load_module

Contain = Callable[[], AbstractContextManager[None]]


class Panic(BaseException):
    """An error that is not an Exception."""


class Mute(Exception):
    """An exception whose ``__str__`` raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def __str__(self) -> str:
        raise self._error


def fail(error: BaseException) -> None:
    with isolated(Output()):
        raise error


# The output.


def test_everything_that_is_printed_is_read_back_in_order() -> None:
    output = Output()
    print("one", file=output)
    output.write("zwö\n")
    output.buffer.write(b"thr\xff\n")
    assert output.read_all() == "one\nzwö\nthr\N{REPLACEMENT CHARACTER}\n"


def test_surrogates_are_replaced() -> None:
    output = Output()
    output.write("\udcff|\ud83d")
    assert output.read_all() == "?|?"


@pytest.mark.parametrize(
    "close",
    [
        lambda output: output.close(),
        lambda output: output.buffer.close(),
        lambda output: output.buffer.flush(),
    ],
    ids=["itself", "buffer", "flush"],
)
def test_the_output_stays_open_when_it_is_closed(close: Callable[[Output], None]) -> None:
    output = Output()
    output.write("before ")
    close(output)
    output.write("after")
    assert not output.closed
    assert output.read_all() == "before after"


def test_the_output_is_kept_when_the_buffer_is_detached() -> None:
    output = Output()
    output.write("before")
    output.detach()
    assert output.read_all() == "before"


# Printing.


def test_stdout_and_stderr_go_only_to_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    output = Output()
    with isolated(output):
        sys.stdout.write("one\n")
        sys.stderr.write("two\n")
    sys.stdout.write("after\n")
    assert output.read_all() == "one\ntwo\n"
    assert capfd.readouterr() == ("after\n", "")


def test_output_before_a_failure_is_kept() -> None:
    output = Output()

    def load() -> None:
        with isolated(output):
            sys.stdout.write("loading")
            raise ValueError

    with pytest.raises(PluginError):
        load()
    assert output.read_all() == "loading"


@pytest.mark.parametrize("error", [None, ValueError("why"), SystemExit(1), KeyboardInterrupt(), Panic()])
def test_the_process_is_restored_after_any_exception(error: BaseException | None) -> None:
    before = sys.stdout, sys.stderr, [*sys.meta_path]
    if error is None:
        with isolated(Output()):
            assert sys.stdout is sys.stderr is not before[0]
            assert len(sys.meta_path) == len(before[2]) + 1
    else:
        with pytest.raises((PluginError, KeyboardInterrupt)):
            fail(error)
    assert (sys.stdout, sys.stderr, sys.meta_path) == before


def test_code_that_removes_the_import_guard_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    before = [*sys.meta_path]
    with isolated(Output()):
        sys.meta_path.pop(0)
    assert sys.meta_path == before


# Failures.


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("why"), "ValueError: why"),
        (ValueError(), "ValueError: no message"),
        (KeyError("lost"), "KeyError: 'lost'"),
        (SystemExit(3), "SystemExit: 3"),
        (Panic("now"), "Panic: now"),
        (GeneratorExit(), "GeneratorExit: no message"),
        (Mute(ValueError()), "Mute: no message"),
        (Mute(SystemExit()), "Mute: no message"),
        (ValueError("first\n\tsecond"), "ValueError: first second"),
        # A message of zoo needs no type before it.
        (PluginError("it lists nothing"), "it lists nothing"),
        (PluginError("two\nlines"), "two lines"),
    ],
)
@pytest.mark.parametrize("raised_in", [lambda: isolated(Output()), failing_as_plugin_error], ids=["isolated", "bare"])
def test_an_exception_becomes_a_plugin_error_of_one_line_with_its_cause(
    raised_in: Contain,
    error: BaseException,
    says: str,
) -> None:
    with pytest.raises(PluginError) as caught, raised_in():
        raise error
    assert str(caught.value) == says
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("raised_in", [lambda: isolated(Output()), failing_as_plugin_error], ids=["isolated", "bare"])
def test_ctrl_c_is_not_turned_into_a_plugin_error(raised_in: Contain) -> None:
    with pytest.raises(KeyboardInterrupt), raised_in():
        raise KeyboardInterrupt


def test_ctrl_c_inside_str_of_an_error_propagates() -> None:
    with pytest.raises(KeyboardInterrupt):
        describe_in_one_line(Mute(KeyboardInterrupt()))


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", "no message"),
        (" \n\t ", "no message"),
        ("a\r\nb\u2028c\x0bd", "a b c d"),
        ("  plain  ", "plain"),
        ("ä 猫 🐕", "ä 猫 🐕"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\x00b", r"a\x00b"),
        ("\udcff", r"\udcff"),
        ("\u202egnp", r"\u202egnp"),  # would reverse the rest of the line
        ("back\\slash 'quoted'", "back\\slash 'quoted'"),
    ],
)
def test_the_message_of_an_error_becomes_one_printable_line(message: str, line: str) -> None:
    found = describe_in_one_line(ValueError(message))
    assert found == line
    assert found.isprintable()


# Heavy imports.


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Install a heavy package, a light one, and a module that imports the heavy one; return the heavy one's name."""
    (tmp_path / "heavy_one").mkdir()
    (tmp_path / "heavy_one" / "__init__.py").write_text("print('imported')\nVALUE = 3\n", encoding="utf-8")
    (tmp_path / "heavy_one" / "part.py").write_text("", encoding="utf-8")
    (tmp_path / "light_one.py").write_text("", encoding="utf-8")
    (tmp_path / "brings_heavy_one.py").write_text("import heavy_one\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("zoo.registry.plugins.isolation.HEAVY", frozenset({"heavy_one", "heavy_but_absent"}))
    yield "heavy_one"
    for name in ("heavy_one", "heavy_one.part", "light_one", "brings_heavy_one"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["heavy_one", "heavy_one.part", "brings_heavy_one"])
def test_a_heavy_import_is_refused_before_any_of_its_code_runs(tmp_path: Path, heavy: str, name: str) -> None:
    output = Output()
    place = f"{tmp_path / 'brings_heavy_one.py'}:1"
    where = f" \\({re.escape(place)}\\)" if name == "brings_heavy_one" else ""
    message = rf"^it imports heavy_one while its backbones are listed{where}; import it inside build\(\)\.$"
    with pytest.raises(PluginError, match=message), isolated(output):
        load_module(EntryPoint("acme", name, "zoo"))
    assert output.read_all() == ""
    assert not {heavy, name} & sys.modules.keys()


def test_a_heavy_import_by_another_package_names_the_import_of_the_plugin(tmp_path: Path, heavy: str) -> None:
    (tmp_path / "plugin_deep.py").write_text("VALUE = 1\n\nimport brings_heavy_one\n", encoding="utf-8")
    message = (
        rf"^it imports brings_heavy_one, and thereby {heavy}, while its backbones are listed "
        rf"\({re.escape(str(tmp_path / 'plugin_deep.py'))}:3\); import it inside build\(\)\.$"
    )
    with pytest.raises(PluginError, match=message), isolated(Output()):
        load_module(EntryPoint("acme", "plugin_deep", "zoo"))


def test_a_refused_import_is_not_an_import_error_that_a_plugin_could_suppress(heavy: str) -> None:
    with (
        pytest.raises(PluginError, match="it imports heavy_one"),
        isolated(Output()),
        contextlib.suppress(ImportError),
    ):
        importlib.import_module(heavy)


def test_a_refused_module_can_be_imported_afterwards(heavy: str) -> None:
    with pytest.raises(PluginError), isolated(Output()):
        importlib.import_module(heavy)
    assert importlib.import_module(heavy).VALUE == 3


def test_a_heavy_module_that_is_already_imported_is_allowed(heavy: str) -> None:
    importlib.import_module(heavy)
    with isolated(Output()):
        assert importlib.import_module(heavy).VALUE == 3


def test_a_light_import_is_allowed(heavy: str) -> None:
    with isolated(Output()):
        importlib.import_module("light_one")
    assert heavy not in sys.modules


def test_find_spec_works_for_heavy_modules(heavy: str) -> None:
    with isolated(Output()):
        assert importlib.util.find_spec(heavy) is not None
        assert importlib.util.find_spec("heavy_but_absent") is None
    assert heavy not in sys.modules


@pytest.mark.usefixtures("heavy")
def test_a_heavy_module_that_is_not_installed_raises_module_not_found() -> None:
    with (
        pytest.raises(PluginError, match="ModuleNotFoundError: No module named 'heavy_but_absent'"),
        isolated(Output()),
    ):
        importlib.import_module("heavy_but_absent")


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "original")
    with isolated(Output()):
        os.environ["NEW"] = "from a plugin"
        del os.environ["KEPT"]
    assert "NEW" not in os.environ
    assert os.environ["KEPT"] == "original"
