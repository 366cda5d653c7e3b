from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import OptionError
from zoo.plugin import BlockSpec
from zoo.registry.optimizer_design import BACKBONE_LR, HEAD_LR
from zoo.registry.recipe import Recipe
from zoo.training.phases import plan_phases

BLOCKS = tuple(BlockSpec(name, (name,)) for name in ("stem", "layer1", "layer2", "layer3"))


def plan(train: str, epochs: int, **options: object) -> list[tuple[str, int]]:
    phases = plan_phases(Recipe(train=train, epochs=epochs, **options), BLOCKS)  # type: ignore[arg-type]
    return [(phase.train, phase.epochs) for phase in phases]


@pytest.mark.parametrize("train", ["head", "all", "from:layer2"])
def test_a_scope_that_never_changes_is_one_phase(train: str) -> None:
    assert plan(train, 4) == [(train, 4)]


@pytest.mark.parametrize(
    ("epochs", "phases"),
    [(2, [1, 1]), (3, [1, 2]), (5, [2, 3]), (6, [2, 4]), (30, [10, 20])],
)
def test_the_head_is_trained_alone_for_a_third_of_the_epochs(epochs: int, phases: list[int]) -> None:
    assert plan("head-then-all", epochs) == [("head", phases[0]), ("all", phases[1])]


def test_gradual_unfreezes_blocks_from_the_head_down() -> None:
    assert plan("gradual", 12) == [("head", 4), ("from:layer3", 2), ("from:layer2", 2), ("from:layer1", 2), ("all", 2)]
    assert plan("gradual", 3) == [("head", 1), ("from:layer2", 1), ("all", 1)]


@pytest.mark.parametrize("train", ["head-then-all", "gradual"])
def test_one_epoch_is_too_few_for_several_phases(train: str) -> None:
    with pytest.raises(OptionError, match=rf"train {train} needs at least 2 epochs, got 1\."):
        plan(train, 1)


@given(st.sampled_from(["head-then-all", "gradual"]), st.integers(2, 60))
def test_epochs_add_up_and_each_phase_trains_more_blocks(train: str, epochs: int) -> None:
    phases = plan(train, epochs)
    assert sum(count for _, count in phases) == epochs
    assert min(count for _, count in phases) >= 1
    order = ["head", "from:layer3", "from:layer2", "from:layer1", "all"]
    places = [order.index(name) for name, _ in phases]
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, 4)


@pytest.mark.parametrize(("lr", "head", "backbone"), [(None, HEAD_LR, BACKBONE_LR), (0.1, None, None)])
def test_learning_rates_are_lower_after_the_head_phase(
    lr: float | None, head: dict[str, float] | None, backbone: dict[str, float] | None
) -> None:
    first, second = plan_phases(Recipe(train="head-then-all", lr=lr), BLOCKS)
    if head and backbone:
        assert (first.learning_rate, second.learning_rate) == (head["adamw"], pytest.approx(backbone["adamw"]))
    else:
        assert first.learning_rate == 0.1
        assert second.learning_rate == pytest.approx(0.1 * BACKBONE_LR["adamw"] / HEAD_LR["adamw"])
