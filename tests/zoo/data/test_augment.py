"""Random operations: their kinds, their ranges, and that they depend only on the generator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.data.augment import RAND_AUGMENT, TRIVIAL_AUGMENT, Op, RandomOps
from zoo.data.random_erasing import RandomErasing
from zoo.data.transform import build_train_transform
from zoo.plugin import InputSpec

SPEC = InputSpec(size=(3, 16, 16), resize=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def draw() -> Tensor:
    return torch.randint(0, 256, (3, 24, 20), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def generate(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("random_ops", [TRIVIAL_AUGMENT, RAND_AUGMENT])
@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.0, 0.4, 1.0])
def test_every_operation_returns_an_image_of_the_same_size(random_ops: RandomOps, strength: float) -> None:
    for op in random_ops.ops.values():
        changed = op(draw(), strength)
        assert (changed.dtype, changed.shape) == (torch.uint8, (3, 24, 20))


@pytest.mark.parametrize("name", [name for name in TRIVIAL_AUGMENT.ops if name != "identity"])
def test_every_operation_changes_the_image(name: str) -> None:
    pixels = draw() // 2 + 60  # The low contrast leaves room for operations that stretch it.
    assert not torch.equal(TRIVIAL_AUGMENT.ops[name](pixels, 0.7), pixels)


@pytest.mark.parametrize(
    "name", ["identity", "shear_x", "translate_y", "rotate", "brightness", "sharpness", "posterize"]
)
def test_zero_strength_does_not_change_the_image(name: str) -> None:
    assert torch.equal(TRIVIAL_AUGMENT.ops[name](draw(), 0.0), draw())


@pytest.mark.parametrize("random_ops", [TRIVIAL_AUGMENT, RAND_AUGMENT])
def test_all_operations_are_chosen_with_both_signs(random_ops: RandomOps) -> None:
    seen: dict[str, set[bool]] = {name: set() for name in random_ops.ops}

    def record(name: str) -> Op:
        def op(pixels: Tensor, strength: float) -> Tensor:
            assert abs(strength) <= 1
            assert random_ops.strength is None or abs(strength) == random_ops.strength
            seen[name].add(strength > 0)
            return pixels

        return op

    watched = RandomOps({name: record(name) for name in random_ops.ops}, random_ops.count, random_ops.strength)
    for seed in range(300):
        watched(draw(), generate(seed))
    assert all(signs == {True, False} for signs in seen.values())


@pytest.mark.parametrize("augment", ["crop-flip", "trivial", "rand"])
@pytest.mark.parametrize("erase", [0.0, 1.0])
def test_an_augmented_image_depends_only_on_its_seed(augment: str, erase: float) -> None:
    transform = build_train_transform(SPEC, augment, erase)
    first, again, other = (transform(draw(), generate(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 16, 16)


def test_images_are_erased_with_the_given_probability() -> None:
    pixels = draw()
    erased = [RandomErasing(0.3)(pixels, generate(seed)) for seed in range(1000)]
    fraction = sum(image is not pixels for image in erased) / 1000
    assert fraction == pytest.approx(0.3, abs=0.05)
    assert torch.equal(pixels, draw())  # The image itself may be cached and must not change.


def test_the_erased_rectangle_has_a_moderate_size() -> None:
    pixels = torch.zeros(3, 60, 60, dtype=torch.uint8)
    for seed in range(200):
        erased = (RandomErasing(1.0)(pixels, generate(seed)) != 0).any(0)
        rows, columns = erased.any(1).nonzero(), erased.any(0).nonzero()
        area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1) / 3600
        assert 0.01 < area < 0.4


def test_a_single_pixel_can_be_erased() -> None:
    assert RandomErasing(1.0)(torch.zeros(3, 1, 1, dtype=torch.uint8), generate(0)).shape == (3, 1, 1)
