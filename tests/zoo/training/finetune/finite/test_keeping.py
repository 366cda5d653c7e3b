"""What is not finite and shows in no loss of a step is found before it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from made_registries import registry_of
from spoiling import INF, NAN, OPTIONS, SPEC, Left, Speaking, Spoil, times
from zoo.engine.learner import Learner
from zoo.errors import TrainingError
from zoo.training.finetune import finetune


def average(learner: Learner, value: float) -> None:
    assert learner.average is not None
    learner.average.tensors["fc.weight"][-1, -1] = value


def memory(learner: Learner, value: float) -> None:
    learner.optimizer.state[learner.model.get_parameter("fc.bias")]["exp_avg_sq"][-1] = value


def statistic(learner: Learner, value: float) -> None:
    """Make the next images differ by more than numbers can say; what comes out of the batch norm is finite."""
    learner.model.get_submodule("stem.1").register_forward_pre_hook(
        lambda module, given: given[0] * value if module.training else None
    )


def move_at(step: int) -> Spoil:
    """Let the optimizer move a weight that is not looked at where the model is measured."""

    def spoil(learner: Learner, value: float) -> None:
        weight = learner.model.get_parameter("aux.weight")

        def move(*_: object) -> None:
            if learner.steps == step - 1:
                weight.data.copy_(times(weight.data, value))

        learner.optimizer.register_step_post_hook(move)

    return spoil


def measured(change: Callable[[Tensor], Tensor]) -> Spoil:
    def spoil(learner: Learner, _value: float) -> None:
        learner.model.register_forward_hook(lambda module, _given, output: None if module.training else change(output))

    return spoil


def say(name: str, *steps: int) -> list[str]:
    return [rf"^{name} is not finite after {step} steps; try a lower `lr`\." for step in steps]


WORSE = [r"^validation loss (nan|inf) after epoch 2; try a lower `lr`\."]
#: By their names: what is done, with which value, in a run of which options; what is said, and what where the state is
#: saved after the sixth step.
LATER: dict[str, tuple[Spoil, float, dict[str, Any], list[str]]] = {
    "moving average": (average, NAN, {"ema": 0.9}, WORSE + say("average.fc.weight", 6)),
    "moved weight": (move_at(6), INF, {}, ["^loss .* at step 3 of epoch 2", *say("model.aux.weight", 6)]),
    "last moved weight": (move_at(8), NAN, {}, say("model.aux.weight", 8, 8)),
    "optimizer": (memory, INF, {}, say("optimizer.fc.bias.exp_avg_sq", 8, 6)),
    "statistic": (statistic, 1e25, {}, say("model.stem.1.running_var", 8, 6)),
    "validation logit": (measured(lambda logits: times(logits, NAN)), NAN, {}, WORSE * 2),
    "validation loss": (measured(lambda logits: logits * torch.tensor([1, INF])), INF, {}, WORSE * 2),
    "sum of validation losses": (measured(lambda logits: logits * 0 + torch.tensor([1e38, -1e38])), INF, {}, WORSE * 2),
}


@pytest.mark.parametrize("is_saved", [False, True])
@pytest.mark.parametrize("place", LATER)
def test_what_a_step_does_not_show_is_found_before_it_is_kept(
    run: Callable[..., None], stopped: Callable[..., Left], output: Path, place: str, *, is_saved: bool
) -> None:
    spoil, value, options, says = LATER[place]
    with pytest.raises(TrainingError, match=says[is_saved]):
        run(output, lambda learner: spoil(learner, value), save_every=3 if is_saved else None, **options)
    left = Left.of(output)
    assert left.model == stopped(**options).model
    assert (left.state is not None) == is_saved


def test_a_mask_of_infinities_is_no_fault(photos: Path, output: Path) -> None:
    def build(_tag: str | None) -> Speaking:
        model = Speaking()
        model.register_buffer("mask", torch.full((2,), -INF))
        return model

    registry = registry_of(replace(SPEC, build=build))
    finetune("net", photos, output=output, registry=registry, **{**OPTIONS, "save_every": 3, "ema": 0.9})
    assert load_file(output / "model.safetensors")["mask"].isinf().all()


def test_numbers_whose_sum_is_too_large_are_no_fault(run: Callable[..., None], output: Path) -> None:
    def enlarge(learner: Learner) -> None:
        learner.optimizer.state[learner.model.get_parameter("fc.bias")]["exp_avg_sq"].fill_(3e38)

    run(output, enlarge, save_every=3)
    assert (output / "run.json").exists()
