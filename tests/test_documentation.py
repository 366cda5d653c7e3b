"""The documentation is complete and correct: it has all help texts, hooks, fields and errors, and its commands run."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from followed_page import ROOT, Reader
from zoo import errors, plugin
from zoo.cli import COMMANDS, cli
from zoo.registry.registry_toml import DATASET_FIELDS

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


def list_names() -> Iterator[str]:
    """List the commands, including those in groups."""
    for name in sorted(COMMANDS):
        command = cli.get_command(click.Context(cli), name)
        yield from (f"{name} {sub}" for sub in command.commands) if isinstance(command, click.Group) else (name,)


@pytest.mark.parametrize("name", [*list_names()])
def test_the_reference_has_the_help_of_each_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="zoo")
    shown = re.search(rf"<!-- help: {name} -->\n```text\n(.*?)```", read("reference/commands.md"), flags=re.DOTALL)
    assert shown is not None
    assert shown[1] == result.output


def test_the_reference_has_every_hook_with_its_arguments() -> None:
    page = read("reference/plugins.md")
    for name, hook in vars(plugin.Hooks).items():
        if name.startswith("zoo_"):
            arguments = [argument for argument in inspect.signature(hook).parameters if argument != "self"]
            assert f"| `{name}({', '.join(arguments)})` |" in page


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_the_reference_has_every_field_of_a_spec(spec: type) -> None:
    section = re.search(
        rf"^## {spec.__name__}\n(.*?)(^## |\Z)", read("reference/plugins.md"), flags=re.MULTILINE | re.DOTALL
    )
    assert section is not None
    documented = re.findall(r"^\| `(\w+)` \|", section[1], flags=re.MULTILINE)
    assert documented == [field.name for field in dataclasses.fields(spec)]


def test_the_docstring_has_every_error() -> None:
    names = [name for name, value in vars(errors).items() if inspect.isclass(value)]
    assert names
    assert [name for name in names if name not in (errors.__doc__ or "")] == []


def test_the_reference_has_every_key_of_registry_toml() -> None:
    page = read("reference/settings.md")
    assert [key for key in DATASET_FIELDS if f"`{key}`" not in page] == []


def test_the_reference_has_every_environment_variable() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "zoo").rglob("*.py"))
    used = set(re.findall(r"\b(?:ZOO|HF|TORCH)_[A-Z_]+\b", code)) - {"ZOO_API"}
    page = read("reference/settings.md")
    assert {"ZOO_CACHE", "ZOO_OFFLINE"} <= used
    assert sorted(name for name in used if name not in page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_link_targets_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_are_valid(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert all(ast.parse(f"f({block})" if "\nweights=(" in block else block) for block in blocks)


@pytest.mark.breadth
def test_the_tutorial_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("docs/tutorials/first-run.md")
    assert len(reader.commands) >= 8
    assert (tmp_path / "first" / "report.html").is_file()


@pytest.mark.breadth
def test_the_how_to_on_many_processes_runs(tmp_path: Path) -> None:
    Reader(tmp_path).follow("docs/how-to/many-processes.md")
    assert json.loads((tmp_path / "runs/shared/run.json").read_text())["hardware"]["processes"] == 2


@pytest.mark.breadth
def test_the_how_to_on_weights_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/weights.md")
    assert len(reader.commands) == 3
    assert json.loads((tmp_path / "mine" / "run.json").read_text())["weights"]["label"] == "tiny.safetensors"


@pytest.mark.breadth
def test_the_how_to_on_own_networks_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/own-networks.md")
    assert "python edit.py" in reader.commands


@pytest.mark.breadth
def test_the_how_to_on_channels_runs(tmp_path: Path) -> None:
    make_xrays(tmp_path / "xrays")
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/grayscale-and-multichannel.md")
    sizes = {name: read_input(tmp_path / "runs" / name)["size"][0] for name in ("gray", "scaled", "bands")}
    assert sizes == {"gray": 1, "scaled": 1, "bands": 5}


def make_xrays(folder: Path) -> None:
    """Draw bright and dark disks in grayscale."""
    for split, count in (("train", 6), ("val", 3)):
        for name, shade in (("bright", 220), ("dark", 90)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = Image.new("L", (64, 64), 10 + number)
                ImageDraw.Draw(image).ellipse((8 + number, 10, 40 + number, 44), fill=shade)
                image.save(folder / split / name / f"{number}.png")


def read_input(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())["input"]


@pytest.mark.breadth
def test_the_how_to_on_plugins_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/write-a-plugin.md")
    assert {"zoo check acme", "pytest zoo-acme"} <= {*reader.commands}
    assert (tmp_path / "acme-run" / "model.safetensors").is_file()


@pytest.mark.breadth
def test_the_how_to_on_foreign_networks_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/networks-that-are-not-yours.md")
    assert reader.commands[-1] == "python load.py"


@pytest.mark.breadth
@pytest.mark.timeout(1200)  # it checks two networks on the CPU
def test_the_how_to_with_two_plugins_runs(tmp_path: Path) -> None:
    for name in ("pytorchcv", "open_clip"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    reader = Reader(tmp_path)
    reader.follow("docs/how-to/worked-plugins.md")
    assert {"zoo check pytorchcv/shufflenet_g1_wd4", "zoo check openclip/ViT-S-32-alt"} <= {*reader.commands}
    assert reader.commands[-1] == "python load.py"


@pytest.mark.breadth
def test_the_tutorial_on_plugins_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("docs/tutorials/plugin.md")
    assert reader.commands.count("zoo check acme") == 3
    assert json.loads((tmp_path / "acme-run" / "run.json").read_text())["backbone"] == "acme/net"


def test_the_readme_has_two_commands_of_one_line_each() -> None:
    lines = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("python3 ")
    ]
    assert len(lines) == 2
    assert lines[0].endswith("zoo finetune tiny --data suns_moons")
    assert "-m pytest" in lines[1]


def test_the_python_code_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert blocks
    for block in blocks:
        exec(block, {})
