"""Words that this project does not use, because a native speaker of English would not: see CONTRIBUTING.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("zoo", "plugins", "tests", "docs")
#: A pattern, and what to write.
WORDS = {
    r"so many\b": "the number",
    r"\bis said\b": "is reported",
    r"\btold right\b": "correct",
    r"\bstands? still\b": "frozen, unchanged",
    r"\bwhat learns?\b|\bwhat learnt\b": "trainable parameters",
    r"\blearnt\b": "learned, trained",
    r"\banew\b": "again, from scratch",
    r"\bwhoever\b": "anyone who",
    r"\bat hand\b": "available",
    r"\btaken up again\b|\bgoes on with\b": "resumed",
    r"\bcolours?\b|\bbehaviours?\b|\bneighbours?\b|\bfavours?\b": "American spelling",
    r"\blabelled\b|\bunlabelled\b|\bcancelled\b": "American spelling: one l",
    r"\b\d+ % (?:of|at|in|on)\b|\b\d+ %[.,;)]": "no space before %",
}


def list_files() -> Iterator[Path]:
    own = Path(__file__)  # which has to contain the words
    for folder in FOLDERS:
        for suffix in ("py", "md", "jinja", "toml", "sh"):
            yield from (path for path in (ROOT / folder).rglob(f"*.{suffix}") if path != own)
    yield from ROOT.glob("*.md")


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    """Every line, with its place."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", line.strip())
        for path in list_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]


@pytest.mark.parametrize("pattern", WORDS)
def test_prose_avoids(pattern: str, lines: list[tuple[str, str]]) -> None:
    found = [f"{place}: {line}" for place, line in lines if re.search(pattern, line)]
    assert found == [], f"write: {WORDS[pattern]}"
