from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zoo.data.path_patterns import expand_path_pattern, is_path_pattern
from zoo.errors import DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b/c.jpg", "b/d/e.jpg", "b/d/f.png", ".hidden/g.jpg", "b/.h.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("**/*.jpg", ["a.jpg", "b/c.jpg", "b/d/e.jpg"]),
        ("b/**", ["b/c.jpg", "b/d/e.jpg", "b/d/f.png"]),
        ("b/*", ["b/c.jpg", "b/d", "b/loop"]),
        ("b/[cx].jp?", ["b/c.jpg"]),
        (".hidden/*.jpg", [".hidden/g.jpg"]),
        ("*/.h*", ["b/.h.jpg"]),
        ("*.gif", []),
    ],
)
def test_a_pattern_matches_as_in_a_shell(tree: Path, pattern: str, expected: list[str]) -> None:
    found = [
        path.relative_to(tree).as_posix()
        for path in expand_path_pattern(tree / pattern)
        if path != tree / "b/loop/a.jpg"
    ]
    assert found == expected


def test_a_relative_pattern_keeps_relative_paths(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "b")
    assert expand_path_pattern(Path("../*.jpg")) == [Path("../a.jpg")]
    assert expand_path_pattern(Path("*.jpg")) == [Path("c.jpg")]


@pytest.mark.parametrize("name", ["a.jpg", "train-{000..003}.tar", "plain"])
def test_other_names_are_not_patterns(name: str) -> None:
    assert not is_path_pattern(Path(name))


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "[1].jpg").touch()
    assert not is_path_pattern(tmp_path / "[1].jpg")
    assert is_path_pattern(tmp_path / "[2].jpg")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the pattern is valid since Python 3.13")
def test_a_pattern_that_python_cannot_use_is_an_error(tree: Path) -> None:
    with pytest.raises(DataError, match=r"cannot use the pattern '.*a\*\*/x'"):
        expand_path_pattern(tree / "a**" / "x")
