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
from zoo.registry.recipe import DECAY, Recipe
from zoo.registry.registry import Registry

FAST = Recipe(weights="none", batch_size=6, epochs=2, workers=0, device="cpu", lr=0.05)


@pytest.fixture
def images(photos: Path, registry: Registry) -> Images:
    return open_images(photos, registry=registry, seed=0, progress=Silent())


@dataclass
class Told(Silent):
    """What a run told, and the model as it was after each epoch."""

    lines: list[str] = field(default_factory=list)
    bests: list[bool] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def on_step(self) -> None:
        """Let it pass."""

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:  # noqa: ARG002  # the engine's
        self.bests.append(is_best)
        self.probabilities.append(probabilities)


def open_feed(fit: Phase) -> ImageBatchSource:
    return ImageBatchSource(fit.network.model, fit.images, fit.views, fit.recipe, fit.hardware)


def run(fit: Phase, told: Told | None = None) -> tuple[list[Epoch], dict[str, Tensor], Told]:
    told = told or Told()
    state = TrainingState(fit.network.model)
    with closing(open_feed(fit)) as feed:
        fit.begin(0, feed, state, told)
        fit.run(feed, state, told, told)
    return state.history, {name: tensor.clone() for name, tensor in fit.network.model.state_dict().items()}, told


def are_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def without_seconds(history: Sequence[Epoch]) -> list[Epoch]:
    return [replace(epoch, train_seconds=0.0, seconds=0.0) for epoch in history]


def test_history_has_a_line_for_every_epoch(acme: BackboneSpec, images: Images) -> None:
    history, _, told = run(make_phase(acme, images, replace(FAST, epochs=3)))
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert all(0 <= epoch.val_accuracy <= 1 and epoch.val_loss > 0 and epoch.seconds > 0 for epoch in history)
    assert [tuple(probabilities.shape) for probabilities in told.probabilities] == [(10, 2)] * 3


def test_probabilities_are_those_of_the_accuracy(acme: BackboneSpec, images: Images) -> None:
    history, _, told = run(make_phase(acme, images, FAST))
    labels = torch.tensor([sample.label for sample in images.val])
    for epoch, probabilities in zip(history, told.probabilities, strict=True):
        assert epoch.val_accuracy == pytest.approx((probabilities.argmax(1) == labels).float().mean().item())


def test_the_best_epoch_is_announced_whenever_it_is_better(acme: BackboneSpec, images: Images) -> None:
    history, _, told = run(make_phase(acme, images, replace(FAST, epochs=5)))
    ranks = [(epoch.val_accuracy, -epoch.val_loss) for epoch in history]
    assert told.bests == [all(rank > earlier for earlier in ranks[:index]) for index, rank in enumerate(ranks)]
    assert told.bests[0]


def epoch(accuracy: float, loss: float) -> Epoch:
    return Epoch(1, 0.0, 0.0, loss, accuracy, 0.1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "is_better"),
    [
        (epoch(0.9, 1.0), None, True),
        (epoch(0.9, 1.0), epoch(0.8, 0.1), True),
        (epoch(0.8, 0.1), epoch(0.9, 1.0), False),
        (epoch(0.9, 0.5), epoch(0.9, 1.0), True),
        (epoch(0.9, 1.0), epoch(0.9, 1.0), False),  # the earlier of two equal ones stays the best
    ],
)
def test_accuracy_decides_and_then_the_loss(one: Epoch, other: Epoch | None, *, is_better: bool) -> None:
    assert one.is_better_than(other) == is_better


@pytest.mark.parametrize("patience", [1, 2])
def test_patience_ends_a_run_that_gets_no_better(acme: BackboneSpec, images: Images, patience: int) -> None:
    # Nothing learns at a rate of zero, so that no epoch is better than the first.
    history, _, told = run(make_phase(acme, images, replace(FAST, epochs=9, lr=0.0, patience=patience), "head"))
    assert len(history) == 1 + patience
    assert told.lines == ["no better epoch since epoch 1: stopped early"]


def test_without_patience_all_epochs_are_run(acme: BackboneSpec, images: Images) -> None:
    history, _, told = run(make_phase(acme, images, replace(FAST, epochs=3, lr=0.0), "head"))
    assert len(history) == 3
    assert told.lines == []


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_seed_gives_the_same_bits_whatever_loads_the_images(
    acme: BackboneSpec, images: Images, workers: int
) -> None:
    history, weights, _ = run(make_phase(acme, images, FAST))
    again, same, _ = run(make_phase(acme, images, replace(FAST, workers=workers)))
    assert are_equal(weights, same)
    assert without_seconds(history) == without_seconds(again)


def test_another_seed_gives_other_weights(acme: BackboneSpec, images: Images) -> None:
    first, other = make_phase(acme, images, FAST), make_phase(acme, images, replace(FAST, seed=1))
    other.network.model.load_state_dict(first.network.model.state_dict())
    torch.manual_seed(0)
    _, weights, _ = run(first)
    torch.manual_seed(0)  # the same dropouts, so that the order of samples alone is another
    _, others, _ = run(other)
    assert not are_equal(weights, others)


def test_every_epoch_has_an_order_of_its_own(acme: BackboneSpec, images: Images) -> None:
    fit = make_phase(acme, images, replace(FAST, batch_size=24, augment="none"))
    seen: list[Tensor] = []
    fit.network.model.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if module.training else None
    )
    run(fit)
    first, second = (batch.flatten(1) for batch in seen)
    assert not torch.equal(first, second)
    assert torch.equal(*(batch[batch.sum(1).argsort()] for batch in (first, second)))  # the same images


def test_what_is_frozen_is_the_same_after_all_epochs(acme: BackboneSpec, images: Images) -> None:
    fit = make_phase(acme, images, FAST, "from:layer2")
    before = fit.frozen.digest()
    _, weights, _ = run(fit)
    assert fit.frozen.check(before) == before
    assert not torch.equal(weights["layer2.1.running_mean"], torch.zeros(16))


@pytest.mark.parametrize("batch_size", [1, 23, 24, 25])
def test_any_batch_size_learns(acme: BackboneSpec, images: Images, batch_size: int) -> None:
    recipe = replace(FAST, epochs=1, schedule="constant", batch_size=batch_size)
    fit = make_phase(acme, images, recipe)
    start = fit.network.model.get_submodule("stem.0").weight.detach().clone()
    history, weights, _ = run(fit)
    assert history[0].train_loss > 0
    assert not torch.equal(weights["stem.0.weight"], start)


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
    ("schedule", "shares"),
    [
        ("step", [1, 0.1, 0.01]),
        ("constant", [1, 1, 1]),
        ("onecycle", [one_cycle(step, 9) for step in (0, 3, 6)]),
    ],
)
def test_the_rate_of_an_epoch_is_that_of_its_first_step(
    acme: BackboneSpec, images: Images, schedule: str, shares: list[float]
) -> None:
    # 24 images in batches of 8 are 3 steps an epoch, 9 in all.
    history, _, _ = run(make_phase(acme, images, replace(FAST, epochs=3, batch_size=8, schedule=schedule), "head"))
    assert [epoch.lr for epoch in history] == pytest.approx([0.05 * share for share in shares])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_a_run_of_few_steps_learns_with_the_default_schedule(acme: BackboneSpec, images: Images, steps: int) -> None:
    fit = make_phase(acme, images, replace(FAST, epochs=steps, batch_size=24), "head")
    start = fit.network.model.get_submodule("classifier.3").weight.detach().clone()
    history, weights, _ = run(fit)
    assert fit.recipe.schedule == Recipe().schedule
    assert len(history) == steps
    assert not torch.allclose(weights["classifier.3.weight"], start, atol=1e-3)


@pytest.mark.parametrize(("given", "optimizer"), [(None, "adamw"), (None, "adam"), (None, "sgd"), (0.25, "adam")])
def test_weights_decay_as_the_recipe_says(
    acme: BackboneSpec, images: Images, given: float | None, optimizer: str
) -> None:
    fit = make_phase(acme, images, replace(FAST, weight_decay=given, optimizer=optimizer))
    decays = {group["weight_decay"] for group in fit._build_learner(open_feed(fit), Silent()).optimizer.param_groups}
    assert decays == {0.0, DECAY[optimizer] if given is None else given}  # biases and norms never do


class Exploding(nn.Module):
    """Its loss is not finite from the given pass on."""

    def __init__(self, model: nn.Module, after: int) -> None:
        super().__init__()
        self.model = model
        self.left = after

    def forward(self, images: Tensor) -> Tensor:
        self.left -= self.training
        logits: Tensor = self.model(images)
        return logits if self.left >= 0 else logits * float("inf")


def test_an_explosion_in_the_second_epoch_keeps_what_the_first_told(acme: BackboneSpec, images: Images) -> None:
    fit = make_phase(acme, images, replace(FAST, batch_size=8))  # 3 steps an epoch
    model = Exploding(fit.network.model, after=4)
    fit = replace(fit, network=replace(fit.network, model=model), frozen=Frozen(model, ("model",)))
    told = Told()
    with pytest.raises(
        TrainingError, match=r"loss .* at step 2 of epoch 2; try a lower `lr`\. .* The images of the batch: .*\.png"
    ):
        run(fit, told)
    assert told.bests == [True]


class Blind(nn.Module):
    """Sound while it trains; what it says in eval mode is no number."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits if self.training else logits * float("nan")


def test_a_validation_loss_that_is_no_number_ends_the_run_and_is_no_best_epoch(
    acme: BackboneSpec, images: Images
) -> None:
    fit = make_phase(acme, images, FAST)
    model = Blind(fit.network.model)
    fit = replace(fit, network=replace(fit.network, model=model), frozen=Frozen(model, ("model",)))
    told = Told()
    with pytest.raises(TrainingError, match=r"validation loss nan after epoch 1; try a lower `lr`\."):
        run(fit, told)
    assert told.bests == []


def test_auxiliary_heads_count_only_where_what_is_below_them_learns(acme: BackboneSpec, images: Images) -> None:
    spec = replace(acme, aux_weight=0.4)
    weights = {}
    for train in ("head", "all"):
        fit = make_phase(spec, images, FAST, train)
        weights[train] = fit._build_learner(open_feed(fit), Silent()).criterion._aux_weight
    assert weights == {"head": 0.0, "all": 0.4}
