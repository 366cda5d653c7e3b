"""Tests that run pytest in a separate process, as a plugin author does."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from zoo.errors import NameNotFound
from zoo.testing import conformance
from zoo.testing.promises import LEVELS, Level, list_checks

#: A plugin author's complete test file.
THREE_LINES = "from zoo.testing import conformance\n\ntest_conformance = conformance('acme')\n"

#: Runs pytest, and prints the heavy modules that it imported.
CODE = """
import sys, pytest
from zoo.registry.plugins.isolation import HEAVY

code = pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", *sys.argv[1:]])
print("heavy:", int(code), *sorted(HEAVY & sys.modules.keys()))
"""

#: Plugins with one fault each: the listed specs, and the lines at the top and at the end.
PLUGINS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "acme": (("spec()", "spec('acme/other')"), "", ""),
    "excused": (("spec(license='unknown', expected_failures={'spec.license': 'asked upstream'})",), "", ""),
    "mended": (("spec(expected_failures={'spec.license': 'asked upstream'})",), "", ""),
    "failing": (("spec(license='unknown')",), "", ""),
    "broken": ((), "raise ValueError('why')", ""),
    "imports": ((), "import numpy", ""),
    "odd": (("spec(weights=Odd())",), "", "class Odd(tuple):\n    def __iter__(self):\n        raise OSError('disk')"),
    "namesake": (("spec('namesake')",), "", ""),
}


class Ran(NamedTuple):
    """The output of pytest."""

    output: str

    @property
    def end(self) -> str:
        """The exit code and the heavy modules that were imported."""
        return self.output.rstrip().rpartition("heavy: ")[2]

    def find(self, status: str) -> dict[str, str]:
        """Map the ids of the cases with a status to the reasons in the summary."""
        lines = re.findall(rf"^{status} \S*?\[(\S+)\](?: - (.*))?$", self.output, flags=re.MULTILINE)
        return dict(lines)


def run(shelf: Any, *arguments: str) -> Ran:
    """Run pytest with the plugins installed."""
    done = shelf.python("-c", CODE, *arguments)
    return Ran(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def plugins(far_shelf: Any) -> Any:
    """A shelf with all plugins and the test file."""
    for name, (specs, top, end) in PLUGINS.items():
        far_shelf.add(name, *specs, top=top, end=end)
    (far_shelf.folder / "test_three_lines.py").write_text(THREE_LINES)
    return far_shelf


@pytest.fixture(scope="module")
def static(plugins: Any) -> Ran:
    """The output of pytest for all plugins at level static."""
    lines = "".join(f"test_{name} = conformance({name!r}, level='static')\n" for name in PLUGINS)
    (plugins.folder / "test_static.py").write_text(f"from zoo.testing import conformance\n\n{lines}")
    return run(plugins, "-rA", "test_static.py")


# Outcomes.


def test_every_check_of_a_good_plugin_is_a_case_with_a_readable_name(static: Ran) -> None:
    # The plugin has no data sets, sources, unlisted backbones or event hooks.
    without = ("plugin.datasets", "plugin.sources", "plugin.drawn", "plugin.finds", "plugin.tracked")
    wanted = [f"acme::{check.name}" for check in list_checks(of_plugin=True) if check.name not in without]
    checks = [check.name for check in list_checks(of_plugin=False) if check.level == "static"]
    wanted += [f"acme/{name}::{check}" for name in ("net", "other") for check in checks]
    assert [case for case in static.find("PASSED") if case.startswith("acme")] == wanted


def test_only_the_cases_of_failed_checks_fail(static: Ran) -> None:
    assert static.end.startswith("1")
    assert sorted(case for case in static.find("FAILED") if not case.startswith("odd/")) == [
        "broken::plugin.imported",
        "failing/net::spec.license",
        "imports::plugin.light",
        "mended/net::spec.license",
        "namesake::spec.name",
    ]


@pytest.mark.parametrize(
    "message",
    [
        "code and weights have a license with an SPDX identifier. the license of the code is unknown; find out",
        "code and weights have a license with an SPDX identifier. it is declared to fail (asked upstream) but passes",
        "the module that the entry point refers to can be imported. importing it fails: ValueError: why",
        "listing does not import torch, torchvision, timm or numpy. listing imports numpy; import them inside build()",
    ],
)
def test_a_failure_shows_the_promise_and_the_reason(static: Ran, message: str) -> None:
    assert f"ConformanceError: {message}" in static.output


def test_an_unexpected_error_fails_with_its_traceback(static: Ran) -> None:
    assert "odd/net::spec.fields" in static.find("FAILED")
    assert "OSError: disk" in static.output
    assert re.search(r"^kit_zoo_odd\.py:\d+: OSError$", static.output, flags=re.MULTILINE)


def test_a_declared_failure_is_an_xfail_with_both_reasons(static: Ran) -> None:
    ((case, reason),) = static.find("XFAIL").items()
    assert case == "excused/net::spec.license"
    assert reason.startswith("asked upstream (the license of the code is unknown")


@pytest.mark.parametrize("message", ["n/a: it provides no data sets", "not-run: it needs plugin.imported"])
def test_a_check_that_did_not_run_is_skipped_with_a_reason(static: Ran, message: str) -> None:
    assert re.search(rf"^SKIPPED .*: {re.escape(message)}$", static.output, flags=re.MULTILINE)


def test_a_backbone_with_the_name_of_its_plugin_has_cases_of_its_own(static: Ran) -> None:
    assert {"namesake::plugin.names", "namesake::spec.fields"} <= static.find("PASSED").keys()


# Imports.


def test_static_cases_import_nothing_heavy(static: Ran) -> None:
    assert static.end == "1 numpy"  # One of the plugins imports it.


def test_collecting_cases_of_any_level_imports_nothing_heavy(plugins: Any) -> None:
    collected = run(plugins, "--collect-only", "-q", "test_three_lines.py")
    assert collected.end == "0"
    assert "test_three_lines.py::test_conformance[acme/net::head.found]" in collected.output


def test_one_case_can_be_run_by_its_name(plugins: Any) -> None:
    ran = run(plugins, "-rA", "test_three_lines.py::test_conformance[acme/other::spec.license]")
    assert list(ran.find("PASSED")) == ["acme/other::spec.license"]
    assert "1 passed" in ran.output


# Options.


def list_cases(**options: Any) -> list[str]:
    """List the ids of the cases of the plugin acme."""
    (mark,) = conformance("acme", **options).pytestmark  # type: ignore[attr-defined]  # pytest's
    return [case.id for case in mark.args[1]]


@pytest.mark.parametrize("level", LEVELS)
def test_each_check_up_to_the_level_has_a_case(shelf: Any, level: Level) -> None:
    shelf.add("acme")
    assert list_cases(level=level) == [
        *(f"acme::{check.name}" for check in list_checks(of_plugin=True)),
        *(f"acme/net::{check.name}" for check in list_checks(of_plugin=False) if check.is_within(level)),
    ]


def test_the_default_level_is_cpu(shelf: Any) -> None:
    shelf.add("acme")
    assert list_cases() == list_cases(level="cpu")


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, ["acme", "acme/net", "acme/small", "acme/vit"]),
        ({"pattern": "*t"}, ["acme", "acme/net", "acme/vit"]),
        ({"each_family": True}, ["acme", "acme/small", "acme/vit"]),
    ],
)
def test_options_choose_backbones_and_keep_the_cases_of_the_plugin(
    shelf: Any, options: dict[str, Any], chosen: list[str]
) -> None:
    shelf.add("acme", "spec(params=302)", "spec('acme/small')", "spec('acme/vit', family='vit')")
    ids = list_cases(level="static", **options)
    assert list(dict.fromkeys(case.partition("::")[0] for case in ids)) == chosen


def test_a_pattern_that_matches_nothing_is_an_error(shelf: Any) -> None:
    shelf.add("acme")
    with pytest.raises(NameNotFound, match=r"no backbone of acme matches 'vgg\*'; `zoo list acme/\*` shows all"):
        conformance("acme", pattern="vgg*")


def test_a_pattern_does_not_hide_a_plugin_that_cannot_be_loaded(shelf: Any) -> None:
    shelf.add("acme", top="raise ValueError('why')")
    assert "acme::plugin.imported" in list_cases(pattern="vgg*")


def test_a_plugin_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(NameNotFound, match="no plugin 'acmee' is installed"):
        conformance("acmee")
