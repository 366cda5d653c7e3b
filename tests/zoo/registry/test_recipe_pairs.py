"""Pairs of options that are refused, and options whose default depends on another one."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.errors import OptionError
from zoo.registry.recipe import SHARD_EVERY, make_recipe


def refuse(**options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        make_recipe(options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("option", ["mixup", "cutmix"])
def test_a_batch_of_one_image_cannot_be_mixed(option: str) -> None:
    message = "`mixup` and `cutmix` mix the images of a batch; use a `batch_size` of at least 2."
    assert refuse(batch_size=1, **{option: 0.4}) == message
    assert make_recipe({"batch_size": 2, option: 0.4}).batch_size == 2


def test_a_patience_that_ends_the_run_before_the_schedule_acts_is_refused() -> None:
    message = (
        "the plateau schedule lowers the learning rate after 2 epochs without improvement, but a `patience` of 2 ends "
        "the run first; set `patience` to at least 3."
    )
    assert refuse(schedule="plateau", patience=2) == message
    assert make_recipe({"schedule": "plateau", "patience": 3}).patience == 3
    assert make_recipe({"schedule": "cosine", "patience": 2}).patience == 2


def test_a_sharded_network_cannot_be_trained_in_fp16() -> None:
    assert refuse(shard=True, train="all", precision="fp16") == (
        "`shard` does not work with fp16; set `precision` to bf16 or fp32."
    )
    assert make_recipe({"shard": True, "train": "all", "precision": "bf16"}).shard


def test_a_sharded_run_counts_the_steps_between_checkpoints() -> None:
    assert make_recipe({"shard": True, "train": "all"}).saves_every == SHARD_EVERY == 100
    assert make_recipe({"shard": True, "train": "all", "save_every": 7}).saves_every == 7
    assert make_recipe({"train": "all"}).saves_every is None
