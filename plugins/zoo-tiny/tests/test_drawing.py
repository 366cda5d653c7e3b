"""Images are reproducible, and the images for pretraining differ from those of suns_moons."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from random import Random

import pytest
import torch

from zoo_tiny import zoo_datasets
from zoo_tiny.drawing import SIDE, draw_folder, draw_picture
from zoo_tiny.figures import FIGURES
from zoo_tiny.suns_moons import FIGURES as SUNS_MOONS
from zoo_tiny.suns_moons import TRAIN, VAL, make_suns_moons

ALL = {**FIGURES, **SUNS_MOONS}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ALL)
def test_the_seed_determines_the_image(name: str) -> None:
    first, again, other = (draw_picture(ALL[name], Random(seed)) for seed in (1, 1, 2))
    assert first.size == (SIDE, SIDE)
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.fixture(scope="module")
def suns_moons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of the images."""
    folder = tmp_path_factory.mktemp("drawn")
    make_suns_moons(folder / "suns_moons")
    return digests(folder / "suns_moons")


def test_suns_moons_is_reproducible_without_duplicates(suns_moons: dict[str, str], tmp_path: Path) -> None:
    make_suns_moons(tmp_path / "again")
    found = digests(tmp_path / "again")
    assert found == suns_moons
    assert len(set(found.values())) == len(found) == 2 * (TRAIN + VAL)
    assert {name.rpartition("/")[0] for name in found} == {
        f"{split}/{name}" for split in ("train", "val") for name in ("suns", "moons")
    }


def test_generating_images_does_not_change_global_random_states(tmp_path: Path) -> None:
    before = random.getstate(), torch.get_rng_state()
    draw_folder(tmp_path, ALL, count=1, seed="any")
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_suns_and_moons_are_not_among_the_pretraining_shapes(suns_moons: dict[str, str], tmp_path: Path) -> None:
    assert not FIGURES.keys() & SUNS_MOONS.keys()
    assert not set(FIGURES.values()) & set(SUNS_MOONS.values())
    draw_folder(tmp_path / "figures", FIGURES, count=5, seed="figures/train")
    seen = set(digests(tmp_path / "figures").values())
    assert not seen & set(suns_moons.values())


def test_the_data_set_is_listed_with_its_function(suns_moons: dict[str, str], tmp_path: Path) -> None:
    [dataset] = zoo_datasets()
    assert dataset.name == "tiny/suns_moons"
    dataset.make(tmp_path / "a")
    assert digests(tmp_path / "a") == suns_moons
