"""The phases of a run: what learns first, and what joins it later. Never imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoo.errors import OptionError
from zoo.plugin import BlockSpec
from zoo.registry.recipe import BACKBONE_LR, Recipe

#: Of the epochs, the share in which the new head learns alone: what it learns from costs one pass over the images.
HEAD_SHARE = 1 / 3


def plan_phases(recipe: Recipe, blocks: Sequence[BlockSpec]) -> tuple[Recipe, ...]:
    """Return a recipe for each phase, with ``train`` one of ``head``, ``all`` and ``from:BLOCK``.

    What learns in a phase learns in all later ones. Together they have the epochs of the whole.

    Args:
        recipe: of the whole run.
        blocks: of the network, from input to output.

    Raises:
        OptionError: there are fewer epochs than phases are needed.
    """
    if recipe.train == "head-then-all":
        return _cut(recipe, ("head", "all"))
    if recipe.train == "gradual":
        stages = ("head", *(f"from:{block.name}" for block in reversed(blocks[1:])), "all")
        return _cut(recipe, _choose(stages, recipe.epochs))
    return (recipe,)


def _cut(recipe: Recipe, stages: Sequence[str]) -> tuple[Recipe, ...]:
    """Share the epochs out, evenly after the first stage, which gets its share."""
    if recipe.epochs < len(stages) or len(stages) < 2:
        raise OptionError(f"--train {recipe.train} needs at least 2 epochs, not {recipe.epochs}.")
    first = max(1, round(recipe.epochs * HEAD_SHARE))
    each, more = divmod(recipe.epochs - first, len(stages) - 1)
    epochs = [first, *(each + (number < more) for number in range(len(stages) - 1))]
    head = replace(recipe, train="head")
    # Beyond the head, the rate is lower by as much as the defaults are.
    ratio = BACKBONE_LR[recipe.optimizer] / replace(head, lr=None).learning_rate
    return tuple(
        replace(recipe, train=stage, epochs=count, lr=head.learning_rate * (1.0 if stage == "head" else ratio))
        for stage, count in zip(stages, epochs, strict=True)
    )


def _choose(stages: Sequence[str], epochs: int) -> tuple[str, ...]:
    """Choose as many as there are epochs for, evenly, the first and the last among them."""
    count = min(len(stages), epochs - max(1, round(epochs * HEAD_SHARE)) + 1)
    return (
        tuple(stages[round(number * (len(stages) - 1) / (count - 1))] for number in range(count)) if count > 1 else ()
    )
