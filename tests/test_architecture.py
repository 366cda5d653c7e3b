"""The packages and walkthroughs in docs/explanation/architecture.md exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
#: How often each walk may return to a package: at most half as often as before the code was divided into packages.
MOST_RETURNS = {"The name": 4, "The data": 4, "The weights": 4, "What is trained": 8, "A batch": 6}


def read_walks() -> dict[str, list[str]]:
    """Return the lines of each walk by title."""
    section = PAGE.partition("## Five walkthroughs")[2].partition("\n## ")[0]
    walks = {}
    for part in section.split("\n### ")[1:]:
        title, _, text = part.partition("\n")
        blocks = re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)
        walks[title.partition(":")[0]] = [line for block in blocks for line in [*block.splitlines(), ""]]
    return walks


WALKS = read_walks()


@pytest.mark.parametrize("title", WALKS)
def test_each_file_and_function_of_a_walk_exists(title: str) -> None:
    for line in filter(None, WALKS[title]):
        package = line.split()[0]
        for step in re.findall(r"([\w/]+\.py)(?: \(([\w, ]+)\))?", line):
            path = ROOT / "zoo" / package / step[0]
            assert path.is_file(), path
            for name in filter(None, step[1].split(", ")):
                assert re.search(rf"^ *(?:def|class) {name}\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE), (
                    name
                )


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_rarely_returns_to_a_package(title: str) -> None:
    seen: set[str] = set()
    returns = 0
    for line in WALKS[title]:
        if not line:
            seen = set()
            continue
        returns += line.split()[0] in seen
        seen.add(line.split()[0])
    assert 0 < returns <= MOST_RETURNS[title]


def test_there_are_five_walks() -> None:
    assert set(WALKS) == set(MOST_RETURNS)


def test_the_page_shows_the_existing_packages_and_the_checked_layers() -> None:
    drawn = re.findall(r"^  (\w+)(?:/|\.py) ", PAGE, flags=re.MULTILINE)
    there = {path.stem for path in (ROOT / "zoo").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(drawn) == there - {"__init__", "__main__"}
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in tool["contracts"] if contract["type"] == "layers")
    assert "\n".join(layers) in PAGE


def test_no_module_is_longer_than_250_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "zoo").rglob("*.py")}
    assert len(lengths) > 400
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 250} == {}
