"""Generated images, folders of them, and fakes for the registry and the progress display."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.errors import NameNotFound
from zoo.plugin import DatasetSpec, SourceSpec

Draw = Callable[..., Image.Image]
Plant = Callable[[Path, Mapping[str, int]], Path]


def draw_image(number: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """Generate a smooth RGB image of width and height ``size`` whose four corners have different colors."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


class Recorder:
    """A progress display that records its lines and bars."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tracked: dict[str, tuple[int | None, int]] = {}

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        self.tracked[title] = (total, 0)

        def advance(steps: int) -> None:
            self.tracked[title] = (total, self.tracked[title][1] + steps)

        yield advance


class Names:
    """A fake registry that finds data sets by name."""

    def __init__(self) -> None:
        self.specs: dict[str, DatasetSpec] = {}
        #: The registry.toml that defines a data set, by its name.
        self.files: dict[str, Path] = {}
        self.sources: list[SourceSpec] = []

    def get_dataset(self, name: str) -> DatasetSpec:
        if name not in self.specs:
            raise NameNotFound(f"no data set {name!r}; known are {', '.join(self.specs) or 'none'}.")
        return self.specs[name]

    def list_sources(self) -> list[SourceSpec]:
        return self.sources

    def explain_missing_source(self, _prefix: str) -> str:
        return ""

    def find_definition(self, dataset: DatasetSpec) -> Path | None:
        return self.files.get(dataset.name)


@pytest.fixture
def draw() -> Draw:
    return draw_image


@pytest.fixture
def plant() -> Plant:
    """A function that fills a folder: ``{"train/ant": 3}`` writes three different images to train/ant."""
    number = iter(range(10**6))

    def plant_tree(root: Path, counts: Mapping[str, int]) -> Path:
        for name, count in counts.items():
            folder = root / name
            folder.mkdir(parents=True)
            for position in range(count):
                draw_image(next(number)).save(folder / f"{position}.png")
        return root

    return plant_tree


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    return folder


@pytest.fixture
def hymenoptera() -> Path:
    """A folder with 397 real photos of ants and bees, and one GIF without an ant in train."""
    assets = os.environ.get("ZOO_TEST_ASSETS")
    if not assets:
        pytest.skip("ZOO_TEST_ASSETS names no folder with data/hymenoptera_data")
    return Path(assets) / "data" / "hymenoptera_data"
