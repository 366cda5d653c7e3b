"""Values that are not finite are found before they are saved, even if they do not affect any training loss."""

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
from spoiling import INF, NAN, OPTIONS, SPEC, LeftFiles, Speaking, Spoil, times
from zoo.engine.learner import Learner
from zoo.errors import TrainingError
from zoo.training.finetune import finetune


def spoil_average(learner: Learner, value: float) -> None:
    assert learner.average is not None
    learner.average.tensors["fc.weight"][-1, -1] = value


def spoil_optimizer(learner: Learner, value: float) -> None:
    learner.optimizer.state[learner.model.get_parameter("fc.bias")]["exp_avg_sq"][-1] = value


def spoil_statistic(learner: Learner, value: float) -> None:
    """Scale the images so that their variance overflows, while the output of the batch norm is finite."""
    learner.model.get_submodule("stem.1").register_forward_pre_hook(
        lambda module, given: given[0] * value if module.training else None
    )


def spoil_weight_at(step: int) -> Spoil:
    """Let an optimizer step spoil a weight that is not used in evaluation."""

    def spoil(learner: Learner, value: float) -> None:
        weight = learner.model.get_parameter("aux.weight")

        def multiply(*_: object) -> None:
            if learner.steps == step - 1:
                weight.data.copy_(times(weight.data, value))

        learner.optimizer.register_step_post_hook(multiply)

    return spoil


def spoil_validation(change: Callable[[Tensor], Tensor]) -> Spoil:
    def spoil(learner: Learner, _value: float) -> None:
        learner.model.register_forward_hook(lambda module, _given, output: None if module.training else change(output))

    return spoil


def match_steps(name: str, *steps: int) -> list[str]:
    return [rf"^{name} is not finite after {step} steps; try a lower `lr`\." for step in steps]


VALIDATION = [r"^validation loss (nan|inf) after epoch 2; try a lower `lr`\."]
#: By name: a function that spoils something, its value, the options of the run, and the pattern of the message, without
#: and with a checkpoint after the sixth step.
LATER: dict[str, tuple[Spoil, float, dict[str, Any], list[str]]] = {
    "moving average": (spoil_average, NAN, {"ema": 0.9}, VALIDATION + match_steps("average.fc.weight", 6)),
    "weight": (spoil_weight_at(6), INF, {}, ["^loss .* at step 3 of epoch 2", *match_steps("model.aux.weight", 6)]),
    "weight in the last step": (spoil_weight_at(8), NAN, {}, match_steps("model.aux.weight", 8, 8)),
    "optimizer": (spoil_optimizer, INF, {}, match_steps("optimizer.fc.bias.exp_avg_sq", 8, 6)),
    "statistic": (spoil_statistic, 1e25, {}, match_steps("model.stem.1.running_var", 8, 6)),
    "validation logit": (spoil_validation(lambda logits: times(logits, NAN)), NAN, {}, VALIDATION * 2),
    "validation loss": (spoil_validation(lambda logits: logits * torch.tensor([1, INF])), INF, {}, VALIDATION * 2),
    "sum of validation losses": (
        spoil_validation(lambda logits: logits * 0 + torch.tensor([1e38, -1e38])), INF, {}, VALIDATION * 2
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_saved", [False, True])
@pytest.mark.parametrize("place", LATER)
def test_a_value_that_is_not_finite_is_found_before_it_is_saved(
    run: Callable[..., None], interrupted: Callable[..., LeftFiles], output: Path, place: str, *, is_saved: bool
) -> None:
    spoil, value, options, patterns = LATER[place]
    with pytest.raises(TrainingError, match=patterns[is_saved]):
        run(output, lambda learner: spoil(learner, value), save_every=3 if is_saved else None, **options)
    left = LeftFiles.of(output)
    assert left.model == interrupted(**options).model
    assert (left.state is not None) == is_saved


def test_a_mask_of_infinities_is_allowed(photos: Path, output: Path) -> None:
    def build(_tag: str | None) -> Speaking:
        model = Speaking()
        model.register_buffer("mask", torch.full((2,), -INF))
        return model

    registry = registry_of(replace(SPEC, build=build))
    finetune("net", photos, output=output, registry=registry, **{**OPTIONS, "save_every": 3, "ema": 0.9})
    assert load_file(output / "model.safetensors")["mask"].isinf().all()


def test_finite_values_with_an_infinite_sum_are_allowed(run: Callable[..., None], output: Path) -> None:
    def enlarge(learner: Learner) -> None:
        learner.optimizer.state[learner.model.get_parameter("fc.bias")]["exp_avg_sq"].fill_(3e38)

    run(output, enlarge, save_every=3)
    assert (output / "run.json").exists()
