"""Each pair of training options means what a loop in plain PyTorch does with both of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from compared_training import require_equal, run_both
from option_values import BASE, PAIRS, VALUES, list_covering
from reference_loop import Reference

#: Pairs of which one option, the one listed here, changes the result of these runs, but the other does not.
WITHOUT_EFFECT = {
    ("layer_decay", "train=head"): {"train=head"},  # the head has the full learning rate
    ("epochs", "patience"): {"patience"},  # the run stops before the last epoch
    ("schedule=step", "train=gradual"): {"train=gradual"},  # each phase has a single epoch
    ("patience", "train=gradual"): {"train=gradual"},  # each phase has a single epoch
}


def are_equal(one: Reference, other: Reference) -> bool:
    """Return whether two runs have bit-identical weights after each epoch."""
    if len(one.states) != len(other.states):
        return False
    states = zip(one.states, other.states, strict=True)
    return all(torch.equal(tensor, two[name]) for state, two in states for name, tensor in state.items())


@pytest.mark.parametrize("names", list_covering())
def test_options_together_train_as_the_reference_does(few_blue: Path, names: tuple[str, ...]) -> None:
    """Every pair of options is in one of these sets."""
    require_equal(*run_both(few_blue, {key: value for name in names for key, value in VALUES[name].items()}))


def test_a_warmup_that_is_too_long_lasts_as_long_as_the_phase(few_blue: Path) -> None:
    found, expected = run_both(few_blue, {"warmup": 1000, "epochs": 2})
    require_equal(found, expected)
    assert found.rates == pytest.approx([BASE["lr"] * step / 7 for step in range(1, 7)])


@pytest.fixture(scope="module")
def alone(few_blue: Path) -> Callable[[str], Reference]:
    """Return the reference with only one of the options."""
    return cache(lambda name: run_both(few_blue, VALUES[name])[1])


@pytest.mark.breadth
@pytest.mark.parametrize(("one", "two"), PAIRS, ids=map("-".join, PAIRS))
def test_a_pair_of_options_trains_as_the_reference_does(
    few_blue: Path, alone: Callable[[str], Reference], one: str, two: str
) -> None:
    found, expected = run_both(few_blue, {**VALUES[one], **VALUES[two]})
    require_equal(found, expected)
    unchanged = {name for name in (one, two) if are_equal(alone(name), expected)}
    assert unchanged == WITHOUT_EFFECT.get((one, two), set())
