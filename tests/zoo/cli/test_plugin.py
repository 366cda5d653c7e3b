from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zoo.cli import cli
from zoo.cli.scaffold import FILES


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["plugin", *arguments])


def test_new_prints_the_folder_on_stdout_and_the_next_steps_on_stderr(here: Path) -> None:
    result = run("new", "my-net")
    assert (result.exit_code, result.stdout) == (0, "zoo-my-net\n")
    assert result.stderr.splitlines() == [
        "wrote:",
        *(f"  {path.replace('acme', 'my_net')}" for path in FILES),
        "next steps:",
        "  pip install -e 'zoo-my-net[test]'",
        "  pytest zoo-my-net",
        "  zoo check my-net",
    ]
    assert [path.name for path in here.iterdir()] == ["zoo-my-net"]


def test_output_is_the_folder_of_the_package(here: Path) -> None:
    result = run("new", "acme", "--output", "my plugins/acme")
    assert (result.exit_code, result.stdout) == (0, "my plugins/acme\n")
    assert (here / "my plugins/acme/pyproject.toml").is_file()
    *_, install, test, _check = result.stderr.splitlines()
    assert shlex.split(install) == ["pip", "install", "-e", "my plugins/acme[test]"]
    assert shlex.split(test) == ["pytest", "my plugins/acme"]


@pytest.mark.usefixtures("here")
def test_an_existing_package_is_refused_in_one_line() -> None:
    run("new", "acme")
    result = run("new", "acme")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: zoo-acme exists and is not empty, and zoo does not overwrite it;"
        " remove it or choose another --output.\n"
    )


def test_the_name_of_a_first_party_plugin_is_refused(here: Path) -> None:
    result = run("new", "timm")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: 'timm' belongs to zoo-timm; choose a name other than")
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments", [(), ("new",), ("old", "acme"), ("new", "acme", "more")], ids=" ".join)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
