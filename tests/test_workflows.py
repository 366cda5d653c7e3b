"""The workflow of a new plugin, and the one that other repositories can call, work as written.

GitHub is not needed: the tests replace the expressions in the files, and run the steps in bash as GitHub does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.cli.scaffold import write_plugin
from zoo.testing import LEVELS

yaml = pytest.importorskip("yaml", reason="PyYAML, which timm brings, reads the workflows")

ROOT = Path(__file__).parents[1]
REUSABLE = ROOT / ".github/workflows/check-plugin.yml"
TEMPLATE = ROOT / "zoo/cli/scaffold/template/.github/workflows/test.yml"
GUIDE = (ROOT / "docs/how-to/write-a-plugin.md").read_text(encoding="utf-8")
#: What YAML makes of the key `on`.
ON = True
INSTALL = "python -m pip install"


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def list_inputs() -> dict[str, dict[str, Any]]:
    return read(REUSABLE)[ON]["workflow_call"]["inputs"]


def get_steps(workflow: Mapping[Any, Any]) -> list[str]:
    [job] = workflow["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def get_environment(workflow: Mapping[Any, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the steps see, with the given inputs."""
    [job] = workflow["jobs"].values()
    inputs = {name: given.get(name, fields.get("default")) for name, fields in list_inputs().items()}
    variables = {**workflow.get("env", {}), **job.get("env", {})}
    return {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs[found[1]], value)
        for name, value in variables.items()
    }


def run(step: str, folder: Path, environment: Mapping[str, str], before: str = "") -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", f"{before}\n{step}"],
        cwd=folder,
        env={**os.environ, "PATH": path, "ZOO_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def show_arguments(step: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the arguments that a step passes to `python`, which is not run."""
    return run(step, folder, environment, before='python() { printf "%s\\n" "$@"; }').splitlines()


@pytest.mark.parametrize("path", [TEMPLATE, REUSABLE], ids=["template", "reusable"])
def test_no_text_from_outside_becomes_code(path: Path) -> None:
    assert [step for step in get_steps(read(path)) if "${{" in step] == []


@pytest.mark.parametrize("path", [TEMPLATE, REUSABLE], ids=["template", "reusable"])
def test_a_workflow_may_only_read(path: Path) -> None:
    assert read(path)["permissions"] == {"contents": "read"}


def test_each_expression_of_the_reusable_workflow_exists() -> None:
    used = set(re.findall(r"\$\{\{ (.*?) \}\}", REUSABLE.read_text(encoding="utf-8")))
    inputs = {f"inputs.{name}" for name in list_inputs()} - {"inputs.python"}
    assert used == {*inputs, "fromJSON(inputs.python)", "matrix.python"}


def test_the_guide_lists_the_inputs_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ", GUIDE.partition("\n## Check it on GitHub\n")[2], flags=re.MULTILINE)
    defaults = {name: fields.get("default") for name, fields in list_inputs().items()}
    shown = {name: "-" if text is None else f"`{text}`" if text else "empty" for name, text in defaults.items()}
    assert dict(rows) == shown
    assert defaults["level"] in LEVELS


def test_the_guide_calls_the_reusable_workflow_with_its_inputs() -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
    [job] = yaml.safe_load(text)["jobs"].values()
    assert job["uses"].partition("@")[0].endswith(f"/zoo/{REUSABLE.relative_to(ROOT).as_posix()}")
    required = {name for name, fields in list_inputs().items() if fields.get("required")}
    assert required <= set(job["with"]) <= set(list_inputs())


@pytest.mark.parametrize("upstream", ["", "timm==1.0.25"])
def test_the_reusable_workflow_installs_zoo_the_plugin_and_its_upstream(tmp_path: Path, upstream: str) -> None:
    workflow = read(REUSABLE)
    environment = get_environment(workflow, {"plugin": "acme", "folder": "plugins/my zoo", "upstream": upstream})
    arguments = show_arguments(get_steps(workflow)[0], tmp_path, environment)
    wanted = ["-m", "pip", "install", list_inputs()["zoo"]["default"], "./plugins/my zoo"]
    assert arguments == [*wanted, *([upstream] if upstream else [])]


def test_the_badge_of_a_new_plugin_is_that_of_its_workflow(tmp_path: Path) -> None:
    write_plugin("acme", tmp_path / "new")
    badge = f"../../actions/workflows/{TEMPLATE.name}"
    [line] = [line for line in (tmp_path / "new/README.md").read_text().splitlines() if line.startswith("[![")]
    assert line == f"[![{read(TEMPLATE)['name']}]({badge}/badge.svg)]({badge})"


@pytest.mark.breadth
@pytest.mark.parametrize(
    ("path", "given"), [(TEMPLATE, {}), (REUSABLE, {"plugin": "acme", "level": "meta"})], ids=["template", "reusable"]
)
def test_each_step_runs_in_a_new_plugin(tmp_path: Path, path: Path, given: dict[str, str]) -> None:
    folder, site = tmp_path / "new", tmp_path / "site"
    write_plugin("acme", folder)
    workflow = read(path)
    environment = {**get_environment(workflow, given), "PYTHONPATH": str(site)}
    install, *others = get_steps(workflow)
    assert install.startswith(f"{INSTALL} ")
    # zoo itself is installed already, and nothing is downloaded.
    command = [sys.executable, *INSTALL.split()[1:], "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(site), str(folder)], check=True, capture_output=True)
    assert [step for step in others if not run(step, folder, environment)] == []
