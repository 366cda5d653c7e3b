"""The six wheels, built and installed as a user would do it, contain everything that zoo needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from zoo.cli.scaffold import FILES

pytestmark = pytest.mark.breadth

ROOT = Path(__file__).parent.parent
PLUGINS = ("torchvision", "timm", "tiny", "tensorboard", "transformers")
SOURCES = {
    "zoo_backbones": ROOT,
    **{f"zoo_{name}": ROOT / "plugins" / f"zoo-{name}" for name in PLUGINS},
}

#: The templates of report.html.
REPORT = (
    "report.html.jinja", "comparison.html.jinja", "sheet.html.jinja", "chart.svg.jinja", "lr_plot.svg.jinja",
    "reliability.svg.jinja", "style.css",
)  # fmt: skip

#: The files of the page of ``zoo serve``.
PAGE = ("page.html", "page.css", "page.js")

#: The files that ``zoo plugin new`` writes, including tests.
TEMPLATE = "zoo/cli/scaffold/template/"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    for source in SOURCES.values():
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def site(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, *map(str, wheels.values())], check=True, capture_output=True)
    return folder


def run(site: Path, cwd: Path, *command: str) -> str:
    """Run Python with the installed wheels first in the path."""
    environment = {**os.environ, "PYTHONPATH": str(site), "ZOO_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_six_distributions_can_be_built(wheels: dict[str, Path]) -> None:
    assert sorted(wheels) == sorted(SOURCES)


@pytest.mark.parametrize(
    ("distribution", "file"),
    [
        ("zoo_backbones", "zoo/registry/registry.toml"),
        ("zoo_backbones", "zoo/py.typed"),
        *(("zoo_backbones", f"zoo/runs/report/{file}") for file in REPORT),
        *(("zoo_backbones", f"zoo/runs/serve/{file}") for file in PAGE),
        *(("zoo_backbones", f"{TEMPLATE}{path}") for path in FILES),
        ("zoo_torchvision", "zoo_torchvision/catalog.json"),
        ("zoo_timm", "zoo_timm/catalog.json"),
        ("zoo_tiny", "zoo_tiny/weights.safetensors"),
    ],
)
def test_a_wheel_contains_its_data(wheels: dict[str, Path], distribution: str, file: str) -> None:
    with zipfile.ZipFile(wheels[distribution]) as wheel:
        assert file in wheel.namelist()


@pytest.mark.parametrize("distribution", sorted(SOURCES))
def test_a_wheel_contains_its_license_and_no_tests(wheels: dict[str, Path], distribution: str) -> None:
    with zipfile.ZipFile(wheels[distribution]) as wheel:
        names = wheel.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    ours = [name for name in names if not name.startswith(TEMPLATE)]
    assert [name for name in ours if re.search(r"(^|/)(tests?/|test_|conftest)", name)] == []


def test_zoo_installed_from_wheels_lists_every_plugin(site: Path, tmp_path: Path) -> None:
    assert run(site, tmp_path, "-c", "import zoo; print(zoo.__file__)").startswith(str(site))
    plugins = {
        plugin["namespace"]: plugin for plugin in json.loads(run(site, tmp_path, "-m", "zoo", "plugins", "--json"))
    }
    names = ("torchvision", "timm", "tiny", "tensorboard")
    assert {name: plugins[name]["state"] for name in names} == dict.fromkeys(names, "ok")
    listed = json.loads(run(site, tmp_path, "-m", "zoo", "list", "--json"))
    assert len(listed) == sum(plugin["backbones"] for plugin in plugins.values()) > 1000


def test_zoo_installed_from_wheels_finetunes_offline(site: Path, tmp_path: Path) -> None:
    command = ("-m", "zoo", "finetune", "tiny", "--data", "suns_moons", "--epochs", "1", "--output", "run")
    assert run(site, tmp_path, *command).splitlines()[-1] == "run"
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["frozen"]["before"] == facts["frozen"]["after"]
    assert facts["best"]["val_accuracy"] > 0.5


def test_zoo_installed_from_wheels_writes_a_plugin(site: Path, tmp_path: Path) -> None:
    assert run(site, tmp_path, "-m", "zoo", "plugin", "new", "acme") == "zoo-acme\n"
    found = {path.relative_to(tmp_path / "zoo-acme").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*FILES}
