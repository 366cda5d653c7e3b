"""A new plugin is complete and can be installed under any valid name. After an error, nothing is written."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import keyword
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from zoo.cli.scaffold import FILES, write_plugin
from zoo.errors import OptionError
from zoo.plugin import API_VERSION, BackboneSpec
from zoo.plugin.fields import NAMESPACE
from zoo.registry.plugins.discovery import FIRST_PARTY

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "zoo/cli/scaffold/template"

WORDS = st.from_regex(r"[a-z0-9]{1,8}|acme", fullmatch=True)
NAMES = st.builds(
    lambda first, rest: first + "".join(rest),
    st.from_regex(r"[a-z][a-z0-9]{0,7}|acme", fullmatch=True).filter(lambda word: word != "zoo"),
    st.lists(st.builds(str.__add__, st.sampled_from("-_"), WORDS), max_size=3),
).filter(lambda name: name not in FIRST_PARTY and not keyword.iskeyword(name))


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def list_backbones(source: str) -> list[BackboneSpec]:
    """Return what the module lists, given its text."""
    module: dict[str, object] = {}
    exec(source, module)
    assert module["ZOO_API"] == API_VERSION
    return module["zoo_backbones"]()  # type: ignore[operator]  # a function


def test_all_files_of_the_template_are_written() -> None:
    found = {name for name in list_files(TEMPLATE) if "cache" not in name}
    assert sorted(FILES) == sorted(found)


@settings(max_examples=40, deadline=None)
@given(NAMES)
def test_distribution_module_and_namespace_have_the_given_name(name: str) -> None:
    with TemporaryDirectory() as parent:
        folder = Path(parent, "new")
        written = write_plugin(name, folder)
        assert {path.relative_to(folder).as_posix() for path in written} == list_files(folder)
        project = tomllib.loads((folder / "pyproject.toml").read_text())
        [(namespace, entry_point)] = project["project"]["entry-points"]["zoo"].items()
        module = entry_point.removesuffix(".plugin")
        assert (project["project"]["name"], namespace) == (f"zoo-{name}", name)
        assert NAMESPACE.fullmatch(namespace)
        assert canonicalize_name(f"zoo-{name}", validate=True) == f"zoo-{name}".replace("_", "-")
        assert module.isidentifier()
        assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{module}"]
        [backbone] = list_backbones((folder / "src" / module / "plugin.py").read_text())
        assert backbone.name == f"{name}/net"
        assert str(backbone.constructor).startswith(f"{module}.network.ConvNet(")
        assert f'conformance("{name}")' in (folder / "tests/test_conformance.py").read_text()
        for path in folder.rglob("*.py"):
            ast.parse(path.read_text())
        if "acme" not in name:
            assert [path for path in written if "acme" in f"{path.name} {path.read_text()}"] == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12) | st.text("acme-_0Z./ ", max_size=12) | NAMES.map(lambda name: f"zoo-{name}"))
def test_any_name_is_either_written_or_refused_in_one_line(name: str) -> None:
    refusal = ""
    with TemporaryDirectory() as parent:
        try:
            write_plugin(name, Path(parent, "new"))
        except OptionError as error:
            refusal = str(error)
        written = list(Path(parent).iterdir())
    assert bool(refusal) != bool(written)
    assert "\n" not in refusal
    assert refusal or re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        *(
            (
                name,
                f"belongs to zoo-{name}; choose a name other than tensorboard, timm, tiny, torchvision, transformers",
            )
            for name in FIRST_PARTY
        ),
        ("class", "is a Python keyword; choose a different name, such as class-nets"),
        ("zoo-acme", "use 'acme'"),
        ("zoo_acme", "use 'acme'"),
        ("Acme", "use lowercase letters and digits"),
        ("2acme", "beginning with a letter"),
        ("acme-", "separated by single '-' or '_'"),
        ("a--b", "separated by single '-' or '_'"),
        ("../acme", "cannot be a plugin's name"),
        ("acme\n", "cannot be a plugin's name"),
        ("", "cannot be a plugin's name"),
    ],
)
def test_an_invalid_name_is_refused_with_a_solution(tmp_path: Path, name: str, advice: str) -> None:
    with pytest.raises(OptionError) as refused:
        write_plugin(name, tmp_path / "new")
    assert advice in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_missing_parents_are_created(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_plugin("acme", tmp_path / "empty")
    write_plugin("acme", tmp_path / "not" / "yet" / "there")
    assert list_files(tmp_path / "empty") == list_files(tmp_path / "not/yet/there") == {*FILES}


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("mine")
    with pytest.raises(OptionError, match="not empty, and zoo does not overwrite it"):
        write_plugin("acme", tmp_path)
    assert list_files(tmp_path) == {".hidden"}


def test_a_file_at_the_path_of_the_folder_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("mine")
    with pytest.raises(OptionError, match=r"cannot be written to .*new: .*; choose another --output"):
        write_plugin("acme", tmp_path / "new")
    assert (tmp_path / "new").read_text() == "mine"


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    really_open = Path.open

    def interrupted(path: Path, mode: str = "r", **options: str) -> object:
        if path.is_relative_to(tmp_path) and path.name == "network.py":
            raise KeyboardInterrupt
        return really_open(path, mode, **options)

    monkeypatch.setattr(Path, "open", interrupted)
    for folder in ("empty", "not/yet/there"):
        with pytest.raises(KeyboardInterrupt):
            write_plugin("acme", tmp_path / folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_full_disk_leaves_nothing_behind_and_is_an_error_of_one_line(tmp_path: Path) -> None:
    # A limit on the file size acts like a full disk: it fails midway through a file.
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000));from zoo.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "plugin", "new", "acme"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(
        "Error: the plugin acme cannot be written to zoo-acme: File too large; choose another --output"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_template_requires_this_version_of_zoo() -> None:
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    [requirement] = map(Requirement, project["dependencies"])
    assert requirement.name == "zoo-backbones"
    assert requirement.specifier.contains(importlib.metadata.version("zoo-backbones"))
    assert (TEMPLATE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", ["acme", "my-own_net"])
def test_the_written_package_passes_its_own_lint_rules(tmp_path: Path, name: str) -> None:
    write_plugin(name, tmp_path / "new")
    for arguments in (("check", "--no-cache"), ("format", "--check", "--no-cache")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments],
            cwd=tmp_path / "new",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_workflow_installs_the_package_and_runs_its_tests(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML, which timm brings, reads the workflow")
    write_plugin("acme", tmp_path / "new")
    workflow = yaml.safe_load((tmp_path / "new/.github/workflows/test.yml").read_text())
    project = tomllib.loads((tmp_path / "new/pyproject.toml").read_text())["project"]
    assert [workflow["env"]["ZOO"]] == project["dependencies"]
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ['python -m pip install "$ZOO" ".[test]"', "python -m pytest"]
    assert {"pytest"} == {Requirement(text).name for text in project["optional-dependencies"]["test"]}


@pytest.mark.breadth
def test_a_new_plugin_can_be_built_and_installed_and_passes_all_checks(tmp_path: Path) -> None:
    name, folder, site = "my-own_net", tmp_path / "new", tmp_path / "site"
    write_plugin(name, folder)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("zoo_my_own_net-0.1.0-*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True, capture_output=True)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site), "ZOO_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert " passed" in run("pytest", "-p", "no:cacheprovider").splitlines()[-1]
    results = json.loads(run("zoo", "check", name, "--json", "--jobs", "1"))
    assert {result["backbone"] for result in results} == {name, f"{name}/net"}
    assert {result["status"] for result in results} == {"pass", "n/a", "not-run"}
    network_only = {result["check"] for result in results if result["status"] == "not-run"}
    assert {check.partition(".")[0] for check in network_only} == {"weights"}
