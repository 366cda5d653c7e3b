from __future__ import annotations

from pathlib import Path

import pytest

from acme import draw_photos


@pytest.fixture(scope="session")
def few_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 5 blue and 13 red images to train on."""
    folder = tmp_path_factory.mktemp("uneven")
    for name, count in (("blue", 5), ("red", 13)):
        draw_photos(folder / "train", per_class=count, classes=(name,), seed=count)
    draw_photos(folder / "val", per_class=6, seed=3)
    return folder
