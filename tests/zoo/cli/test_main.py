from __future__ import annotations

import importlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import zoo.cli
from zoo.cli import COMMANDS, cli, main
from zoo.errors import NameNotFound, ZooError

Main = Callable[..., int]


def replace(monkeypatch: pytest.MonkeyPatch, callback: Callable[[], object]) -> None:
    """Replace the command ``zoo plugins`` with a function."""
    module = importlib.import_module("zoo.cli.plugins")
    monkeypatch.setattr(module, "command", click.command(name="plugins")(callback))


def test_success_is_exit_code_0(run: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "nothing-has-this-name") == 0
    assert capsys.readouterr().out.endswith("0 backbones\n")


def test_version_is_the_version_of_the_distribution(run: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"zoo {importlib.metadata.version('zoo-backbones')}\n"


def test_help_describes_every_command(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "zoo", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    section = result.stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    lines = [line for line in section.splitlines() if not line.startswith(" " * 4)]  # without continuation lines
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(len(line.split()) > 3 for line in lines)
    assert "zoo finetune tiny --data suns_moons" in result.stdout


def test_help_works_after_a_command_was_loaded(run: Main) -> None:
    assert run("list", "nothing-has-this-name") == 0
    assert run("--help") == 0


def test_help_does_not_truncate_descriptions(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "zoo", "--help"],
        env={**os.environ, "COLUMNS": "80"}, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_each_option_has_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert COMMANDS[name] == command.get_short_help_str(limit=200)
    undocumented = {
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help and parameter.type.name != "choice"
    }
    assert undocumented == set()


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"finetune", "predict", "plugin", "report", "serve"}))
def test_commands_with_results_have_json(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    commands = [command, *command.commands.values()] if isinstance(command, click.Group) else [command]
    assert "--json" in [option for each in commands for parameter in each.params for option in parameter.opts]


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("list", "--nonsense"), ("--nonsense",), ("info",), ("list", "a", "b"), ("finetune", "vgg16")],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_without_stdout(
    run: Main, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Error: " in printed.err
    assert "Traceback" not in printed.err


def test_an_unknown_command_is_named(run: Main, capsys: pytest.CaptureFixture[str]) -> None:
    run("nonsense")
    assert "'nonsense'" in capsys.readouterr().err


def test_a_user_error_is_one_line_on_stderr_with_exit_code_1(run: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "no-backbone-has-this-name") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Error: no backbone 'no-backbone-has-this-name'")
    assert printed.err.count("\n") == 1


def test_an_error_in_registry_toml_is_one_line(
    run: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.toml").write_text("[resolv]\n")
    zoo.registry.registry.open_registry.cache_clear()
    assert run("info", "vgg16") == 1
    zoo.registry.registry.open_registry.cache_clear()
    assert capsys.readouterr().err.startswith("Error: registry.toml: unknown table 'resolv'")


def test_an_error_in_registry_toml_does_not_stop_commands_that_do_not_need_it(
    run: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry.toml").write_text("[resolv]\n")
    assert run("list") == 0
    assert run("plugins") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--debug", "info", "no-such-backbone"),
        ("info", "--debug", "no-such-backbone"),
        ("info", "no-such-backbone", "--debug"),
        ("info", "no-such-backbone", "--debug", "--json"),
        ("--debug", "info", "no-such-backbone", "--debug"),
    ],
    ids=" ".join,
)
def test_debug_is_accepted_at_any_position_and_raises_the_error(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo", *arguments])
    with pytest.raises(NameNotFound, match="no-such-backbone"):
        main()


def test_debug_does_not_change_successful_output(run: Main, capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for arguments in (("list", "--json"), ("list", "--json", "--debug")):
        assert run(*arguments) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_debug_shows_the_traceback_and_exits_with_1(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "zoo", "--debug", "info", "no-backbone-has-this-name"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert "NameNotFound: no backbone" in result.stderr.splitlines()[-1]


def test_an_internal_error_keeps_its_traceback_without_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    replace(monkeypatch, fail)
    monkeypatch.setattr(sys, "argv", ["zoo", "plugins"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_ctrl_c_is_exit_code_130(
    run: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    replace(monkeypatch, interrupt)
    assert run("plugins") == 130
    assert "interrupted" in capsys.readouterr().err


def test_an_interrupt_outside_of_click_is_handled(
    run: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.cli.main", interrupt)
    assert run() == 130
    assert capsys.readouterr().err.startswith("interrupted")


def test_an_error_message_is_joined_into_one_line(
    run: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZooError("one\ntwo")

    replace(monkeypatch, fail)
    assert run("plugins") == 1
    assert capsys.readouterr().err == "Error: one two\n"


def test_a_closed_pipe_prints_no_traceback(tmp_path: Path) -> None:
    code = "import sys\nfrom zoo.cli import main\nsys.stdout.close = lambda: None\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "list", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def test_python_m_zoo_is_the_same_as_the_script(tmp_path: Path) -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="zoo")
    assert script.value == "zoo.__main__:run"
    result = subprocess.run(
        [sys.executable, "-m", "zoo", "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == f"zoo {importlib.metadata.version('zoo-backbones')}\n"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("predict", "run", ""), "an argument"),
        (("predict", ""), "an argument"),
        (("finetune", "", "--data", "photos"), "an argument"),
        (("finetune", "net", "--data", ""), "--data"),
        (("finetune", "net", "--data="), "--data"),
        (("finetune", "net", "--data", "photos", "--config", ""), "--config"),
        (("finetune", "net", "--data", "photos", "--output", ""), "--output"),
        (("finetune", "net", "--data", "photos", "--set", ""), "--set"),
        (("evaluate", "run", "photos", "--label-from", ""), "--label-from"),
        (("lr-find", "net", "--data", "photos", "--plot", ""), "--plot"),
        (("list", ""), "an argument"),
        (("list", "--license", ""), "--license"),
        (("check", "acme", "--save", ""), "--save"),
        (("plugin", "new", "acme", "--output", ""), "--output"),
        (("convert", "in.pth", ""), "an argument"),
    ],
)
def test_an_empty_value_is_refused_by_name(
    run: Main, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], name: str
) -> None:
    assert run(*arguments) == 2
    assert f"Error: {name} is empty; omit it or set it to a value." in capsys.readouterr().err


def test_a_value_with_an_equals_sign_at_its_end_is_not_empty(run: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "acme=", "--json") == 1
    assert "no backbone 'acme='" in capsys.readouterr().err
