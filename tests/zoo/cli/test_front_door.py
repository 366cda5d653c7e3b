"""Help for newcomers: -h, suggestions, names in any case, completion, and messages that name flags."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from zoo.cli import COMMANDS, SYNONYMS, cli
from zoo.cli.flags import FLAGS, name_flags
from zoo.registry.recipe import Recipe


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments], prog_name="zoo")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=str)
def test_h_is_short_for_help(command: tuple[str, ...]) -> None:
    short, long = (invoke(*command, flag) for flag in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output


@pytest.mark.parametrize(("word", "meant"), [*SYNONYMS.items(), ("finetine", "finetune"), ("predct", "predict")])
def test_a_command_of_another_tool_is_answered_with_a_suggestion(word: str, meant: str) -> None:
    result = invoke(word, "x")
    assert result.exit_code == 2
    assert f"no such command {word!r}. Did you mean {meant!r}?" in result.stderr


def test_an_unrelated_word_gets_no_suggestion() -> None:
    assert invoke("xyzzy").stderr.endswith("Error: no such command 'xyzzy'.\n")


def test_each_synonym_stands_for_a_command() -> None:
    assert set(SYNONYMS.values()) <= set(COMMANDS)
    assert not set(SYNONYMS) & set(COMMANDS)


def test_help_of_finetune_has_sections_and_examples() -> None:
    output = invoke("finetune", "-h").output
    titles = ["Model:", "Training:", "Data:", "Machine:", "Run:", "Other options:", "Examples:"]
    places = [output.index(f"{title}\n") for title in titles]
    assert places == sorted(places)
    others = output[places[-2] : places[-1]].split()
    assert [word for word in others if word.startswith("--")] == ["--help"]  # all other options have a section
    assert output.count("zoo finetune resnet") == 2


@pytest.mark.parametrize("name", ["ResNet18", "torchvision/RESNET18", "Torchvision/resnet18"])
def test_names_ignore_case(name: str) -> None:
    result = invoke("info", name)
    assert result.exit_code == 0, result.output
    assert "torchvision/resnet18" in result.output


def test_a_number_without_a_unit_gets_a_suggestion() -> None:
    result = invoke("list", "--max-params", "30")
    assert result.exit_code == 2
    assert "did you mean 30M?" in result.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("zoo info vgg1", "vgg16"),
        ("zoo info torchvision/vgg1", "torchvision/vgg16"),
        ("zoo finetune tiny --data su", "suns_moons"),
    ],
)
def test_the_shell_completes_names(words: str, wanted: str) -> None:
    code = "import sys; sys.argv = ['zoo']; from zoo.cli import main; main()"
    environment = {"_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert f"plain,{wanted}" in done.stdout.splitlines(), done.stderr


def test_a_checkout_that_is_not_installed_is_an_error_of_one_line() -> None:
    checkout = Path(__file__).parents[3]
    code = f"import runpy, sys; sys.path.insert(0, {str(checkout)!r}); runpy.run_module('zoo', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "zoo is not installed: click is missing. In the folder of the clone, run: pip install ."
    ]


def test_doctor_prints_lines_or_json() -> None:
    lines, answer = invoke("doctor"), invoke("doctor", "--json")
    assert lines.exit_code == answer.exit_code
    findings = json.loads(answer.stdout)
    assert len(findings) == len(lines.stdout.splitlines())
    assert {finding["about"] for finding in findings} == {"versions", "device", "images", "cache", "plugin"}


def test_options_in_messages_become_flags() -> None:
    assert name_flags("try a lower `lr`") == "try a lower --lr"
    assert name_flags("a smaller `batch_size`, or `accumulate` 4") == "a smaller --batch-size, or --set accumulate 4"
    assert name_flags("`zoo list` and `no_option` stay") == "`zoo list` and `no_option` stay"


def test_every_option_of_a_run_is_named_as_the_command_line_takes_it() -> None:
    flags = {param.name for param in cli.get_command(click.Context(cli), "finetune").params}  # type: ignore[union-attr]
    options = {field.name for field in dataclasses.fields(Recipe)}
    assert set(FLAGS) >= options & flags
    for name in options - flags:
        assert name_flags(f"`{name}`") == f"--set {name}"
