"""The phases of a run: which parts of the network each one trains, and for how many epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoo.errors import OptionError
from zoo.models.blocks import list_stages
from zoo.plugin import BlockSpec
from zoo.registry.optimizer_design import BACKBONE_LR
from zoo.registry.recipe import Recipe
from zoo.registry.train_scope import HEAD, TrainScope

#: Fraction of the epochs in which only the new head is trained. Its features are computed in a single pass over the
#: images.
HEAD_SHARE = 1 / 3


def plan_phases(recipe: Recipe, blocks: Sequence[BlockSpec]) -> tuple[Recipe, ...]:
    """Return one recipe for each phase, in which ``train`` is ``head``, ``all`` or ``from:BLOCK``.

    A block that is trained in a phase is also trained in all later phases. The epochs of all phases add up to the
    epochs of the run.

    Args:
        recipe: Recipe of the run.
        blocks: Blocks of the network, from input to output.

    Raises:
        OptionError: If the run has several phases but only one epoch.
    """
    if not recipe.scope.is_phased:
        return (recipe,)
    first = max(1, round(recipe.epochs * HEAD_SHARE))
    others = recipe.epochs - first
    if others == 0:
        raise OptionError(f"train {recipe.train} needs at least 2 epochs, got {recipe.epochs}.")
    stages = _choose_stages(list_stages(recipe.scope, blocks), 1 + others)
    each, more = divmod(others, len(stages) - 1)
    epochs = [first, *(each + (number < more) for number in range(len(stages) - 1))]
    head = replace(recipe, train=str(HEAD))
    # The default learning rates of a head and a backbone differ by this factor, so a given learning rate is scaled too.
    ratio = BACKBONE_LR[recipe.optimizer] / replace(head, lr=None).learning_rate
    return tuple(
        replace(recipe, train=str(stage), epochs=count, lr=head.learning_rate * (1.0 if stage == HEAD else ratio))
        for stage, count in zip(stages, epochs, strict=True)
    )


def _choose_stages(stages: Sequence[TrainScope], most: int) -> Sequence[TrainScope]:
    """Return at most ``most`` stages, evenly spaced, including the first and the last one."""
    count = min(len(stages), most)
    return [stages[round(number * (len(stages) - 1) / (count - 1))] for number in range(count)]
