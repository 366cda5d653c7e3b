"""Changes at random: of the right kind, in the right range, and functions of the generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.data.augment import RAND, TRIVIAL, Changes, Erase
from zoo.data.transform import build_train_transform
from zoo.plugin import InputSpec

SPEC = InputSpec(size=(3, 16, 16), resize=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def draw() -> Tensor:
    return torch.randint(0, 256, (3, 24, 20), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def generate(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("changes", [TRIVIAL, RAND])
@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.0, 0.4, 1.0])
def test_every_change_leaves_an_image(changes: Changes, strength: float) -> None:
    for change in changes.kinds.values():
        changed = change(draw(), strength)
        assert (changed.dtype, changed.shape) == (torch.uint8, (3, 24, 20))


@pytest.mark.parametrize("name", [name for name in TRIVIAL.kinds if name != "identity"])
def test_every_change_changes_something(name: str) -> None:
    pixels = draw() // 2 + 60  # no contrast to spare, for those that stretch it
    assert not torch.equal(TRIVIAL.kinds[name](pixels, 0.7), pixels)


@pytest.mark.parametrize("name", ["identity", "shear_x", "move_y", "turn", "brightness", "sharpness", "posterise"])
def test_without_strength_nothing_changes(name: str) -> None:
    assert torch.equal(TRIVIAL.kinds[name](draw(), 0.0), draw())


@pytest.mark.parametrize("changes", [TRIVIAL, RAND])
def test_all_kinds_are_drawn_in_both_directions(changes: Changes) -> None:
    seen: dict[str, set[bool]] = {name: set() for name in changes.kinds}

    def note(name: str) -> object:
        def change(pixels: Tensor, strength: float) -> Tensor:
            assert abs(strength) <= 1
            assert changes.strength is None or abs(strength) == changes.strength
            seen[name].add(strength > 0)
            return pixels

        return change

    watched = Changes({name: note(name) for name in changes.kinds}, changes.count, changes.strength)  # type: ignore[misc]
    for seed in range(300):
        watched(draw(), generate(seed))
    assert all(directions == {True, False} for directions in seen.values())


@pytest.mark.parametrize("augment", ["crop-flip", "trivial", "rand"])
@pytest.mark.parametrize("erase", [0.0, 1.0])
def test_an_augmented_image_is_a_function_of_its_seed(augment: str, erase: float) -> None:
    transform = build_train_transform(SPEC, augment, erase)
    first, again, other = (transform(draw(), generate(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 16, 16)


def test_a_part_is_blotted_out_as_often_as_is_asked_for() -> None:
    pixels = draw()
    erased = [Erase(0.3)(pixels, generate(seed)) for seed in range(1000)]
    share = sum(image is not pixels for image in erased) / 1000
    assert share == pytest.approx(0.3, abs=0.05)
    assert torch.equal(pixels, draw())  # the image itself is kept for the next epoch


def test_what_is_blotted_out_is_a_part_of_a_modest_size() -> None:
    pixels = torch.zeros(3, 60, 60, dtype=torch.uint8)
    for seed in range(200):
        touched = (Erase(1.0)(pixels, generate(seed)) != 0).any(0)
        rows, columns = touched.any(1).nonzero(), touched.any(0).nonzero()
        area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1) / 3600
        assert 0.01 < area < 0.4


def test_a_single_pixel_can_be_blotted_out() -> None:
    assert Erase(1.0)(torch.zeros(3, 1, 1, dtype=torch.uint8), generate(0)).shape == (3, 1, 1)
