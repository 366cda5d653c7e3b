"""Fast commands import nothing slow. Each test runs in a process of its own and reports what was imported."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import zoo.cli
from zoo.registry.plugins.discovery import FIRST_PARTY
from zoo.registry.plugins.isolation import HEAVY

ROOT = Path(__file__).parents[1]

#: Modules that never import torch, directly or indirectly.
LIGHT = [
    "zoo",
    "zoo.errors",
    "zoo.plugin.fields",
    "zoo.plugin",
    "zoo.registry.plugins.isolation",
    "zoo.registry.plugins.load",
    "zoo.registry.plugins.discovery",
    "zoo.registry.registry_toml",
    "zoo.registry.registry",
    "zoo.registry.recipe",
    "zoo.runs.compare",
    "zoo.engine.interrupts",
    "zoo.registry.license",
    "zoo.progress",
    "zoo.files.cache",
    "zoo.cli",
    *(f"zoo.cli.{path.stem}" for path in sorted(ROOT.glob("zoo/cli/*.py")) if path.stem != "__init__"),
    "zoo.testing",
    "zoo.testing.promises",
    "zoo.testing.results.result",
    "zoo.testing.runner",
    "zoo.testing.plugin_under_test",
    "zoo.testing.isolation.import_probe",
    "zoo.testing.select",
    "zoo.testing.pytest_cases",
    "zoo.testing.results.results_file",
    "zoo.testing.suite",
    "zoo.testing.results.markdown_page",
    "zoo.testing.checks.plugin",
    "zoo.testing.checks.spec",
]

INSTALLED = sorted({entry.name for entry in importlib.metadata.entry_points(group="zoo") if entry.name in FIRST_PARTY})

#: Modules that take milliseconds to import and are not needed to list backbones.
SLOW = {"difflib", "tomllib", "rich", "jinja2"}
#: More modules that are not needed for help. Listing needs the first one to find plugins. On Python 3.11, the first one
#: imports the others.
METADATA = {"importlib.metadata", "importlib.resources", "email", "socket", "zipfile", "tempfile"}

#: Parts of torch's compiler, which take a third as long to import as torch, and are only needed to compile a network.
COMPILER = {"torch._dynamo.eval_frame", "sympy", "triton", "torch.fx.experimental.symbolic_shapes"}

#: Runs the command line with the arguments in sys.argv.
COMMAND = """
try:
    zoo.cli.main()
except SystemExit as end:
    code = end.code
"""


def list_heavy(code: str, *arguments: str, cwd: Path) -> list[str]:
    """Run code, which may set ``code``, and return the heavy modules that it imported."""
    report = "import sys\nprint(code, *sorted(HEAVY & sys.modules.keys()), file=sys.stderr)"
    prelude = f"import zoo.cli\nHEAVY = {set(HEAVY)!r}\ncode = 0\n"
    result = subprocess.run(
        [sys.executable, "-c", f"{prelude}{code}\n{report}", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    status, *heavy = result.stderr.splitlines()[-1].split()
    assert status in ("0", "None"), result.stderr
    return heavy


def list_imported(*arguments: str, cwd: Path) -> set[str]:
    """Run the command line and return all modules that it imported."""
    code = f"{COMMAND}\nprint(*sys.modules, file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", f"import sys, zoo.cli\n{code}", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,  # the command may import torch
        check=True,
    )
    return set(result.stderr.splitlines()[-1].split())


def test_heavy_imports_are_detected(tmp_path: Path) -> None:
    assert list_heavy("import numpy", cwd=tmp_path) == ["numpy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("list",),
        ("list", "--json"),
        ("plugins",),
        ("plugins", "--json"),
        ("plugin", "new", "acme"),
    ],
    ids=" ".join,
)
def test_commands_that_only_print_import_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert list_heavy(COMMAND, *arguments, cwd=tmp_path) == []


def test_the_help_of_commands_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys
for name in {[*zoo.cli.COMMANDS]!r}:
    sys.argv = ["zoo", name, "--help"]
    try:
        zoo.cli.main()
    except SystemExit as end:
        assert end.code == 0, name
    assert not HEAVY & sys.modules.keys(), name
"""
    assert list_heavy(code, cwd=tmp_path) == []


def test_help_imports_no_command(tmp_path: Path) -> None:
    imported = list_imported("--help", cwd=tmp_path)
    assert "click" in imported
    wanted = {
        "zoo",
        "zoo.cli",
        "zoo.cli.flags",
        "zoo.cli.process",
        "zoo.cli.signals",
        "zoo.cli.streams",
        "zoo.engine",
        "zoo.engine.interrupts",
        "zoo.errors",
        "zoo.progress",
        "zoo.progress.printable",
    }
    assert {name for name in imported if name.startswith("zoo")} <= wanted
    assert not imported & {*SLOW, *METADATA, "pluggy", "dataclasses", "json"}


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("plugins",)], ids=" ".join)
def test_listing_imports_nothing_slow(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    imported = list_imported(*arguments, cwd=tmp_path)
    assert {"zoo.registry.registry", *(f"zoo_{namespace}" for namespace in INSTALLED)} <= imported
    assert not imported & SLOW


def list_imported_by_predicting(backbone: str, photos: Path, folder: Path) -> set[str]:
    """Return the modules that ``zoo predict`` imports for one image and a run of the backbone."""
    from zoo.training.finetune import finetune

    finetune(backbone, photos, weights="none", epochs=1, output=folder / "run")
    (image, *_) = photos.rglob("*.png")
    return list_imported("predict", str(folder / "run"), str(image), cwd=folder)


@pytest.mark.breadth
def test_predicting_does_not_import_other_plugins_upstreams(tmp_path: Path, few_photos: Path) -> None:
    if "torchvision" not in INSTALLED:
        pytest.skip("zoo-torchvision is not installed")
    imported = list_imported_by_predicting("torchvision/squeezenet1_1", few_photos, tmp_path)
    assert {"torch", "torchvision"} <= imported
    assert not imported & {"timm", "rich", "zoo.training.finetune", "zoo.runs.report", "zoo.testing", *COMPILER}


@pytest.mark.breadth
def test_predicting_and_training_import_torchvision_only_for_its_networks(tmp_path: Path, few_photos: Path) -> None:
    if "tiny" not in INSTALLED:
        pytest.skip("zoo-tiny is not installed")
    options = ("--data", str(few_photos), "--epochs", "1", "--output", "run")
    training = list_imported("finetune", "tiny", *options, cwd=tmp_path)
    (image, *_) = few_photos.rglob("*.png")
    predicting = list_imported("predict", "run", str(image), cwd=tmp_path)
    assert "torch" in training & predicting
    assert not training & {"torchvision", "timm", *COMPILER}
    assert not predicting & {"torchvision", "timm", "jinja2.environment", *COMPILER}


@pytest.mark.breadth
def test_predicting_with_timm_does_not_import_the_compiler(tmp_path: Path, few_photos: Path) -> None:
    if "timm" not in INSTALLED:
        pytest.skip("zoo-timm is not installed")
    imported = list_imported_by_predicting("timm/test_resnet", few_photos, tmp_path)
    assert "timm" in imported
    assert not imported & COMPILER


@pytest.mark.parametrize("namespace", INSTALLED)
def test_info_imports_nothing_heavy(tmp_path: Path, namespace: str) -> None:
    pick = f"import sys\nsys.argv += ['info', zoo.list_backbones('{namespace}/*')[0].name]\n"
    assert list_heavy(pick + COMMAND, cwd=tmp_path) == []


@pytest.mark.parametrize("namespace", INSTALLED)
def test_static_checks_import_nothing_heavy(tmp_path: Path, namespace: str) -> None:
    assert list_heavy(COMMAND, "check", namespace, "--level", "static", cwd=tmp_path) == []


@pytest.mark.parametrize("namespace", INSTALLED)
def test_first_party_plugins_list_their_backbones_without_heavy_imports(tmp_path: Path, namespace: str) -> None:
    # The state would not be "ok" if the plugin had been refused for importing one.
    code = f"""
from zoo.registry.registry import open_registry
(plugin,) = [plugin for plugin in open_registry().plugins if plugin.namespace == {namespace!r}]
assert plugin.state == "ok", plugin.reason
assert plugin.backbones
"""
    assert list_heavy(code, cwd=tmp_path) == []


def test_listing_from_python_imports_nothing_heavy(tmp_path: Path) -> None:
    assert list_heavy("import zoo\nzoo.list_backbones()\nzoo.Recipe\nzoo.ZooError\ndir(zoo)", cwd=tmp_path) == []


def test_light_modules_import_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module(name)
    assert not HEAVY & sys.modules.keys(), name
"""
    assert list_heavy(code, cwd=tmp_path) == []


def test_importing_zoo_imports_nothing_but_zoo_and_the_standard_library(tmp_path: Path) -> None:
    code = """
import subprocess, sys
new = "import sys; before = set(sys.modules); import zoo; print(*(set(sys.modules) - before))"
found = subprocess.check_output([sys.executable, "-c", new], text=True).split()
assert {name.partition(".")[0] for name in found} <= {"zoo", *sys.stdlib_module_names}, found
"""
    assert list_heavy(code, cwd=tmp_path) == []
