"""docs/conformance.md covers every installed backbone and every check, for the installed versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.plugin import BackboneSpec
from zoo.registry.registry import list_backbones
from zoo.testing import list_checks

NAMESPACES = ("torchvision", "timm", "tiny", "transformers")
PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"


def list_installed(namespace: str) -> list[BackboneSpec]:
    specs = list_backbones(f"{namespace}/*")
    if not specs:
        pytest.skip(f"the plugin of {namespace} is not installed")
    return specs


def read_section(namespace: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"\n## {namespace}\n")[2].partition("\n## ")[0]


def read_families(namespace: str) -> Iterator[tuple[str, list[int]]]:
    """Yield each row of the first table as a family and its numbers."""
    for line in read_section(namespace).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 9 and cells[1].replace(",", "").isdigit():
            yield cells[0].strip("*"), [int(cell.replace(",", "")) for cell in cells[1:]]


def list_newer_checks(namespace: str) -> list[str]:
    """List the checks that the page says the results of a plugin do not include."""
    newer = re.search(
        r"^These checks are newer than the results of (.*?), which do not include them:(.*?)\.$",
        PAGE.read_text("utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    return re.findall(r"`(\S+)`", newer[2]) if newer and namespace in newer[1].split(", ") else []


def test_checks_that_the_page_does_not_include_exist() -> None:
    every = [*list_checks(of_plugin=True), *list_checks(of_plugin=False)]
    assert {check for namespace in NAMESPACES for check in list_newer_checks(namespace)} <= {
        check.name for check in every
    }


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_family_is_listed_with_all_backbones_and_checks(namespace: str) -> None:
    specs = list_installed(namespace)
    wanted: dict[str, int] = {"all": len(specs)}
    for spec in specs:
        wanted[spec.family] = wanted.get(spec.family, 0) + 1
    rows = dict(read_families(namespace))
    assert {family: figures[0] for family, figures in rows.items()} == wanted
    of_each = len({check.name for check in list_checks(of_plugin=False)} - {*list_newer_checks(namespace)})
    assert all(figures[-1] == figures[0] * of_each for figures in rows.values())


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_the_numbers_of_a_family_add_up_and_no_check_fails(namespace: str) -> None:
    rows = dict(read_families(namespace))
    for backbones, on_cpu, *statuses, total in rows.values():
        assert sum(statuses) == total
        assert on_cpu <= backbones
    assert rows["all"][5] == 0


@pytest.mark.parametrize("namespace", ["torchvision", "timm", "transformers"])
def test_only_listed_large_backbones_were_not_checked_on_the_cpu(namespace: str) -> None:
    (sentence,) = re.findall(r"^(\d+) of [\d,]+: (.*)\.$", read_section(namespace), flags=re.MULTILINE)
    backbones, on_cpu, *_ = dict(read_families(namespace))["all"]
    assert int(sentence[0]) == len(sentence[1].split(", ")) == backbones - on_cpu
    large = {spec.name for spec in list_installed(namespace) if spec.params > 100_000_000}
    assert large == set(sentence[1].split(", "))


def test_the_page_was_generated_with_the_versions_in_the_catalogs() -> None:
    upstreams = {spec.upstream.replace("==", " ") for spec in list_backbones() if spec.upstream}
    (line,) = re.findall(r"^Checked with (.*)\.$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(upstreams) >= 2
    assert upstreams <= set(line.split(", "))
