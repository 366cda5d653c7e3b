"""What the documentation says is so: every command shown is run, every help text, hook, field and error is there."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo import errors, plugin
from zoo.cli import COMMANDS, cli
from zoo.settings import DATASET_FIELDS

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
SPECS = [
    plugin.BackboneSpec,
    plugin.BlockSpec,
    plugin.InputSpec,
    plugin.WeightsSpec,
    plugin.DatasetSpec,
]


def read(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def list_commands(page: Path) -> list[str]:
    """List the lines after ``$`` in the page's console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_each_command_stands_in_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="zoo")
    shown = re.search(rf"<!-- help: {name} -->\n```text\n(.*?)```", read("reference/commands.md"), flags=re.DOTALL)
    assert shown is not None
    assert shown[1] == result.output


def test_every_hook_stands_in_the_reference_with_its_arguments() -> None:
    page = read("reference/plugins.md")
    for name, hook in vars(plugin.Hooks).items():
        if name.startswith("zoo_"):
            arguments = [argument for argument in inspect.signature(hook).parameters if argument != "self"]
            assert f"| `{name}({', '.join(arguments)})` |" in page


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_every_field_of_a_spec_stands_in_the_reference(spec: type) -> None:
    section = re.search(
        rf"^## {spec.__name__}\n(.*?)(^## |\Z)", read("reference/plugins.md"), flags=re.MULTILINE | re.DOTALL
    )
    assert section is not None
    documented = re.findall(r"^\| `(\w+)` \|", section[1], flags=re.MULTILINE)
    assert documented == [field.name for field in dataclasses.fields(spec)]


def test_every_error_is_in_the_drawn_tree() -> None:
    names = [name for name, value in vars(errors).items() if inspect.isclass(value)]
    assert names
    assert [name for name in names if name not in (errors.__doc__ or "")] == []


def test_every_key_of_registry_toml_stands_in_the_reference() -> None:
    page = read("reference/settings.md")
    assert [key for key in DATASET_FIELDS if f"`{key}`" not in page] == []


def test_every_environment_variable_stands_in_the_reference() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "zoo").rglob("*.py"))
    used = set(re.findall(r"\b(?:ZOO|HF|TORCH)_[A-Z_]+\b", code)) - {"ZOO_API"}
    page = read("reference/settings.md")
    assert {"ZOO_CACHE", "ZOO_OFFLINE"} <= used
    assert sorted(name for name in used if name not in page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_are_python(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert all(ast.parse(f"f({block})" if "\nweights=(" in block else block) for block in blocks)


def run_commands(page: Path, cwd: Path) -> None:
    """Run a page's commands in order, as its reader would."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["ZOO_OFFLINE"] = "1"
    for command in list_commands(page):
        if command.startswith("pip install"):
            # Into a folder of its own, not into the environment that runs the tests.
            what = shlex.split(command)[2:]
            site = cwd / "site"
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
            install += ["--no-build-isolation", "--target", str(site), *what]
            subprocess.run(install, cwd=cwd, env=environment, check=True, capture_output=True)
            environment["PYTHONPATH"] = str(site)
            continue
        done = subprocess.run(
            command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_commands_of_the_tutorial_run_in_order(tmp_path: Path) -> None:
    assert len(list_commands(ROOT / "docs/tutorial.md")) >= 8
    run_commands(ROOT / "docs/tutorial.md", tmp_path)
    assert (tmp_path / "first" / "report.html").is_file()


def test_the_plugin_of_the_how_to_installs_and_is_finetuned(tmp_path: Path) -> None:
    page = ROOT / "docs/how-to/write-a-plugin.md"
    files = re.findall(
        r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert [name for name, _ in files] == ["pyproject.toml", "zoo_acme/__init__.py"]
    (tmp_path / "zoo-acme" / "zoo_acme").mkdir(parents=True)
    for name, content in files:
        (tmp_path / "zoo-acme" / name).write_text(content, encoding="utf-8")
    run_commands(page, tmp_path)
    assert (tmp_path / "acme-run" / "model.safetensors").is_file()


def test_readme_begins_with_two_commands_of_one_line_each() -> None:
    lines = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("python3 ")
    ]
    assert len(lines) == 2
    assert lines[0].endswith("zoo finetune tiny --data suns_moons")
    assert "-m pytest" in lines[1]


def test_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
