from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from made_phases import make_phase
from zoo.data.dataset import Images, open_images
from zoo.engine.batches import ImageBatchSource
from zoo.engine.metrics import Epoch
from zoo.engine.phase import Phase
from zoo.engine.schedule import one_cycle
from zoo.engine.state import TrainingState
from zoo.errors import TrainingError
from zoo.models.freeze import Frozen
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.optimizer_design import DECAY
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry

FAST = Recipe(weights="none", batch_size=6, epochs=2, workers=0, device="cpu", lr=0.05)


@pytest.fixture
def images(photos: Path, registry: Registry) -> Images:
    return open_images(photos, DataOptions(), registry=registry, progress=Silent())


@dataclass
class Recorder(Silent):
    """Callbacks and progress that record the messages and the results of each epoch."""

    lines: list[str] = field(default_factory=list)
    bests: list[bool] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def on_step(self) -> None:
        """Do nothing."""

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:  # noqa: ARG002  # PhaseCallbacks
        self.bests.append(is_best)
        self.probabilities.append(probabilities)


def open_source(phase: Phase) -> ImageBatchSource:
    return ImageBatchSource(phase.network.model, phase.images, phase.views, phase.recipe, phase.hardware)


def run(phase: Phase, recorder: Recorder | None = None) -> tuple[list[Epoch], dict[str, Tensor], Recorder]:
    recorder = recorder or Recorder()
    state = TrainingState(phase.network.model)
    with closing(open_source(phase)) as source:
        phase.begin(0, source, state, recorder)
        phase.run(source, state, recorder, recorder)
    return state.history, {name: tensor.clone() for name, tensor in phase.network.model.state_dict().items()}, recorder


def are_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def without_seconds(history: Sequence[Epoch]) -> list[Epoch]:
    return [replace(epoch, train_seconds=0.0, seconds=0.0) for epoch in history]


def test_the_history_has_an_entry_for_every_epoch(acme: BackboneSpec, images: Images) -> None:
    history, _, recorder = run(make_phase(acme, images, replace(FAST, epochs=3)))
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert all(0 <= epoch.val_accuracy <= 1 and epoch.val_loss > 0 and epoch.seconds > 0 for epoch in history)
    assert [tuple(probabilities.shape) for probabilities in recorder.probabilities] == [(10, 2)] * 3


def test_probabilities_match_the_accuracy(acme: BackboneSpec, images: Images) -> None:
    history, _, recorder = run(make_phase(acme, images, FAST))
    labels = torch.tensor([sample.label for sample in images.val])
    for epoch, probabilities in zip(history, recorder.probabilities, strict=True):
        assert epoch.val_accuracy == pytest.approx((probabilities.argmax(1) == labels).float().mean().item())


def test_an_epoch_is_best_if_it_is_better_than_all_before(acme: BackboneSpec, images: Images) -> None:
    history, _, recorder = run(make_phase(acme, images, replace(FAST, epochs=5)))
    ranks = [(epoch.val_accuracy, -epoch.val_loss) for epoch in history]
    assert recorder.bests == [all(rank > earlier for earlier in ranks[:index]) for index, rank in enumerate(ranks)]
    assert recorder.bests[0]


def epoch(accuracy: float, loss: float) -> Epoch:
    return Epoch(1, 0.0, 0.0, loss, accuracy, 0.1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "is_better"),
    [
        (epoch(0.9, 1.0), None, True),
        (epoch(0.9, 1.0), epoch(0.8, 0.1), True),
        (epoch(0.8, 0.1), epoch(0.9, 1.0), False),
        (epoch(0.9, 0.5), epoch(0.9, 1.0), True),
        (epoch(0.9, 1.0), epoch(0.9, 1.0), False),  # the first of two equal epochs stays the best
    ],
)
def test_epochs_are_compared_by_accuracy_and_then_by_loss(one: Epoch, other: Epoch | None, *, is_better: bool) -> None:
    assert one.is_better_than(other) == is_better


@pytest.mark.parametrize("patience", [1, 2])
def test_patience_stops_a_run_that_does_not_improve(acme: BackboneSpec, images: Images, patience: int) -> None:
    # With a learning rate of zero, no epoch is better than the first.
    history, _, recorder = run(make_phase(acme, images, replace(FAST, epochs=9, lr=0.0, patience=patience), "head"))
    assert len(history) == 1 + patience
    assert recorder.lines == ["stopped early: no improvement since epoch 1"]


def test_without_patience_all_epochs_run(acme: BackboneSpec, images: Images) -> None:
    history, _, recorder = run(make_phase(acme, images, replace(FAST, epochs=3, lr=0.0), "head"))
    assert len(history) == 3
    assert recorder.lines == []


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_seed_gives_identical_results_with_any_number_of_workers(
    acme: BackboneSpec, images: Images, workers: int
) -> None:
    history, weights, _ = run(make_phase(acme, images, FAST))
    again, same, _ = run(make_phase(acme, images, replace(FAST, workers=workers)))
    assert are_equal(weights, same)
    assert without_seconds(history) == without_seconds(again)


def test_another_seed_gives_different_weights(acme: BackboneSpec, images: Images) -> None:
    first, other = make_phase(acme, images, FAST), make_phase(acme, images, replace(FAST, seed=1))
    other.network.model.load_state_dict(first.network.model.state_dict())
    torch.manual_seed(0)
    _, weights, _ = run(first)
    torch.manual_seed(0)  # the same dropout, so that only the order of samples differs
    _, others, _ = run(other)
    assert not are_equal(weights, others)


def test_every_epoch_has_a_different_order(acme: BackboneSpec, images: Images) -> None:
    phase = make_phase(acme, images, replace(FAST, batch_size=24, augment="none"))
    seen: list[Tensor] = []
    phase.network.model.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if module.training else None
    )
    run(phase)
    first, second = (batch.flatten(1) for batch in seen)
    assert not torch.equal(first, second)
    assert torch.equal(*(batch[batch.sum(1).argsort()] for batch in (first, second)))  # the same images


def test_frozen_parameters_do_not_change(acme: BackboneSpec, images: Images) -> None:
    phase = make_phase(acme, images, FAST, "from:layer2")
    before = phase.frozen.digest()
    _, weights, _ = run(phase)
    assert phase.frozen.check(before) == before
    assert not torch.equal(weights["layer2.1.running_mean"], torch.zeros(16))


@pytest.mark.parametrize("batch_size", [1, 23, 24, 25])
def test_any_batch_size_trains(acme: BackboneSpec, images: Images, batch_size: int) -> None:
    recipe = replace(FAST, epochs=1, schedule="constant", batch_size=batch_size)
    phase = make_phase(acme, images, recipe)
    initial = phase.network.model.get_submodule("stem.0").weight.detach().clone()
    history, weights, _ = run(phase)
    assert history[0].train_loss > 0
    assert not torch.equal(weights["stem.0.weight"], initial)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "step", "constant"])
def test_every_optimizer_runs_with_every_schedule(
    acme: BackboneSpec, images: Images, optimizer: str, schedule: str
) -> None:
    recipe = replace(FAST, epochs=1, batch_size=8, optimizer=optimizer, schedule=schedule)
    history, weights, _ = run(make_phase(acme, images, recipe, "head"))
    assert len(history) == 1
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("step:1", [1, 0.1, 0.01]),
        ("step:2,0.5", [1, 1, 0.5]),
        ("constant", [1, 1, 1]),
        ("onecycle", [one_cycle(step, 9) for step in (0, 3, 6)]),
    ],
)
def test_the_learning_rate_of_an_epoch_is_that_of_its_first_step(
    acme: BackboneSpec, images: Images, schedule: str, factors: list[float]
) -> None:
    # 24 images in batches of 8 are 3 steps per epoch, 9 in total.
    history, _, _ = run(make_phase(acme, images, replace(FAST, epochs=3, batch_size=8, schedule=schedule), "head"))
    assert [epoch.lr for epoch in history] == pytest.approx([0.05 * factor for factor in factors])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_a_run_of_few_steps_trains_with_the_default_schedule(acme: BackboneSpec, images: Images, steps: int) -> None:
    phase = make_phase(acme, images, replace(FAST, epochs=steps, batch_size=24), "head")
    initial = phase.network.model.get_submodule("classifier.3").weight.detach().clone()
    history, weights, _ = run(phase)
    assert phase.recipe.schedule == Recipe().schedule
    assert len(history) == steps
    assert not torch.allclose(weights["classifier.3.weight"], initial, atol=1e-3)


@pytest.mark.parametrize(("given", "optimizer"), [(None, "adamw"), (None, "adam"), (None, "sgd"), (0.25, "adam")])
def test_weight_decay_is_that_of_the_recipe(
    acme: BackboneSpec, images: Images, given: float | None, optimizer: str
) -> None:
    phase = make_phase(acme, images, replace(FAST, weight_decay=given, optimizer=optimizer))
    decays = {
        group["weight_decay"] for group in phase._build_learner(open_source(phase), Silent()).optimizer.param_groups
    }
    assert decays == {0.0, DECAY[optimizer] if given is None else given}  # biases and norms never decay


class Exploding(nn.Module):
    """A model whose loss is not finite after a number of training steps."""

    def __init__(self, model: nn.Module, after: int) -> None:
        super().__init__()
        self.model = model
        self.left = after

    def forward(self, images: Tensor) -> Tensor:
        self.left -= self.training
        logits: Tensor = self.model(images)
        return logits if self.left >= 0 else logits * float("inf")


def test_if_the_second_epoch_fails_the_first_epoch_was_reported(acme: BackboneSpec, images: Images) -> None:
    phase = make_phase(acme, images, replace(FAST, batch_size=8))  # 3 steps per epoch
    model = Exploding(phase.network.model, after=4)
    phase = replace(phase, network=replace(phase.network, model=model), frozen=Frozen(model, ("model",)))
    recorder = Recorder()
    with pytest.raises(
        TrainingError, match=r"loss .* at step 2 of epoch 2; try a lower `lr`\. .* Images in the batch: .*\.png"
    ):
        run(phase, recorder)
    assert recorder.bests == [True]


class NanInEval(nn.Module):
    """A model whose logits are NaN in eval mode."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits if self.training else logits * float("nan")


def test_a_validation_loss_of_nan_ends_the_run_and_is_not_the_best_epoch(acme: BackboneSpec, images: Images) -> None:
    phase = make_phase(acme, images, FAST)
    model = NanInEval(phase.network.model)
    phase = replace(phase, network=replace(phase.network, model=model), frozen=Frozen(model, ("model",)))
    recorder = Recorder()
    with pytest.raises(TrainingError, match=r"validation loss nan after epoch 1; try a lower `lr`\."):
        run(phase, recorder)
    assert recorder.bests == []


def test_auxiliary_heads_count_only_if_their_input_is_trained(acme: BackboneSpec, images: Images) -> None:
    spec = replace(acme, aux_weight=0.4)
    weights = {}
    for train in ("head", "all"):
        phase = make_phase(spec, images, FAST, train)
        weights[train] = phase._build_learner(open_source(phase), Silent()).criterion._aux_weight
    assert weights == {"head": 0.0, "all": 0.4}


def test_the_loss_of_a_frozen_auxiliary_head_does_not_count(acme: BackboneSpec, images: Images) -> None:
    weights = {}
    for is_trained in (True, False):
        phase = make_phase(replace(acme, aux_weight=0.4), images, FAST, "all")
        network = replace(phase.network, head=replace(phase.network.head, aux_paths=("classifier.0",)))
        network.model.get_submodule("classifier.0").requires_grad_(is_trained)
        phase = replace(phase, network=network)
        weights[is_trained] = phase._build_learner(open_source(phase), Silent()).criterion._aux_weight
    assert weights == {True: 0.4, False: 0.0}
