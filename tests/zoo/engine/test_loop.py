from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import choose_hardware
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Sums, evaluate, train_one_epoch
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.engine.step import NotFinite
from zoo.models.freeze import Frozen, list_batch_norms
from zoo.plugin import BackboneSpec
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

ALL = ("stem", "layer1", "layer2", "classifier")
Batches = list[tuple[Tensor, Tensor]]


def make_batches(*sizes: int, seed: int = 0) -> Batches:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, 3, 16, 16, generator=generator), torch.randint(0, 10, (size,), generator=generator))
        for size in sizes
    ]


def make_learner(model: nn.Module, trainable: tuple[str, ...] = ALL, lr: float = 0.1, **changes: object) -> Learner:
    hardware = choose_hardware("cpu")
    frozen = Frozen(model, trainable)
    optimizer = build_optimizer(OptimizerDesign("sgd"), model.parameters(), lr, 0.0)
    learner = Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(),
        optimizer=optimizer,
        schedule=Schedule(ScheduleDesign("constant"), 10),
        seed=0,
        hardware=hardware,
        scaler=hardware.build_scaler(),
    )
    return replace(learner, **changes)  # type: ignore[arg-type]


def begin() -> EpochProgress:
    return EpochProgress(0, Sums(torch.device("cpu")))


def drop(_count: int) -> None:
    """Ignore the progress."""


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def model(acme: BackboneSpec) -> nn.Module:
    torch.manual_seed(0)
    return acme.build(None)


# The criterion.


def test_the_loss_is_cross_entropy() -> None:
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    loss, returned = Criterion()(logits, labels)
    by_hand = -logits.log_softmax(1)[torch.arange(4), labels].mean()
    torch.testing.assert_close(loss, by_hand)
    assert returned is logits


def test_label_smoothing_mixes_in_all_classes() -> None:
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    logs = logits.log_softmax(1)
    by_hand = -(0.8 * logs[torch.arange(4), labels] + 0.2 * logs.mean(1)).mean()
    torch.testing.assert_close(Criterion(label_smoothing=0.2)(logits, labels)[0], by_hand)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_auxiliary_logits_add_their_loss_by_weight(weight: float) -> None:
    logits, one, two = torch.randn(3, 4, 3).unbind()
    labels = torch.tensor([0, 2, 1, 1])
    plain = Criterion()
    by_hand = plain(logits, labels)[0] + weight * (plain(one, labels)[0] + plain(two, labels)[0])
    loss, returned = Criterion(aux_weight=weight)((logits, one, two), labels)
    torch.testing.assert_close(loss, by_hand)
    assert returned is logits


# Training for one epoch.


@pytest.mark.parametrize("trainable", [("classifier.3",), ("classifier",), ("layer2", "classifier"), ALL])
def test_one_step_changes_the_trainable_parameters_only(model: nn.Module, trainable: tuple[str, ...]) -> None:
    before = tensors_of(model)
    train_one_epoch(make_learner(model, trainable), begin(), make_batches(8), drop)
    for name, tensor in model.state_dict().items():
        is_trainable = name.startswith(tuple(f"{prefix}." for prefix in trainable))
        # A bias before a batch norm has no effect, so its gradient is only noise.
        if not (is_trainable and name in {"stem.0.bias", "layer1.0.bias", "layer2.0.bias"}):
            assert torch.equal(tensor, before[name]) != is_trainable, name


def test_one_step_equals_a_step_in_plain_torch(acme: BackboneSpec, model: nn.Module) -> None:
    ((images, labels),) = batches = make_batches(6)
    twin = acme.build(None)
    twin.load_state_dict(model.state_dict())
    for dropout in [module for module in (*model.modules(), *twin.modules()) if isinstance(module, nn.Dropout)]:
        dropout.p = 0.0
    score = train_one_epoch(make_learner(model), begin(), batches, drop)
    logits = twin.train()(images)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.1 * parameter.grad)
    assert score.loss == pytest.approx(loss.item())
    assert score.accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    torch.testing.assert_close(dict(model.state_dict()), dict(twin.state_dict()))


def test_gradients_do_not_accumulate_across_steps(model: nn.Module) -> None:
    learner = make_learner(model, lr=0.0)
    one, two = make_batches(4, 4)
    for dropout in [module for module in model.modules() if isinstance(module, nn.Dropout)]:
        dropout.p = 0.0
    train_one_epoch(learner, begin(), [one, two], drop)
    after_both = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    train_one_epoch(learner, begin(), [two], drop)
    torch.testing.assert_close([p.grad for p in model.parameters()], after_both)


def test_every_step_advances_the_schedule_and_the_progress(model: nn.Module) -> None:
    learner = make_learner(model)
    done: list[int] = []
    train_one_epoch(learner, begin(), make_batches(4, 4, 3), done.append)
    assert done == [4, 4, 3]
    assert learner.steps == 3


def test_the_score_weights_batches_by_their_size(model: nn.Module) -> None:
    learner = make_learner(model, ("classifier.3",), lr=0.0)
    batches = make_batches(5, 2)
    for dropout in [module for module in model.modules() if isinstance(module, nn.Dropout)]:
        dropout.p = 0.0
    score = train_one_epoch(learner, begin(), batches, drop)
    images, labels = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    with torch.inference_mode():
        logits = model.eval()(images)
    assert score.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert score.accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_a_model_in_eval_mode_is_put_into_training_mode(model: nn.Module) -> None:
    before = tensors_of(model)
    train_one_epoch(make_learner(model.eval()), begin(), make_batches(4), drop)
    assert int(model.state_dict()["stem.1.num_batches_tracked"]) == 1
    assert not torch.equal(model.state_dict()["stem.1.running_mean"], before["stem.1.running_mean"])


def test_the_last_batch_may_have_one_image(model: nn.Module) -> None:
    score = train_one_epoch(make_learner(model), begin(), make_batches(4, 1), drop)
    assert 0 < score.loss < 10


class Narrow(nn.Module):
    """A batch norm over one value per channel and image, which needs two images in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 16), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(images).flatten(1))
        return logits


def test_batch_norms_with_fixed_statistics_train_on_single_images() -> None:
    torch.manual_seed(0)
    model = Narrow()
    before = tensors_of(model)
    frozen = Frozen(model, ("body", "fc"), in_eval_mode=list_batch_norms(model))
    train_one_epoch(make_learner(model, ("body", "fc"), frozen=frozen), begin(), make_batches(1, 1), drop)
    after = model.state_dict()
    assert torch.equal(after["body.1.running_mean"], before["body.1.running_mean"])
    assert not torch.equal(after["body.1.weight"], before["body.1.weight"])


def test_frozen_batch_norms_allow_single_images() -> None:
    model = Narrow()
    train_one_epoch(make_learner(model, ("fc",)), begin(), make_batches(1, 1), drop)
    assert int(model.state_dict()["body.1.num_batches_tracked"]) == 0


class WithAux(nn.Module):
    """A model that returns a tuple in training mode and logits in eval mode, as torchvision's GoogLeNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(768, 4)
        self.aux = nn.Linear(4, 10)
        self.fc = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.body(images.flatten(1))
        return (self.fc(features), self.aux(features)) if self.training else self.fc(features)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_auxiliary_heads_are_trained_with_their_weight(weight: float) -> None:
    model = WithAux()
    before = tensors_of(model)
    learner = make_learner(model, ("body", "aux", "fc"), criterion=Criterion(aux_weight=weight))
    train_one_epoch(learner, begin(), make_batches(4), drop)
    assert torch.equal(model.aux.weight, before["aux.weight"]) == (weight == 0.0)
    assert not torch.equal(model.fc.weight, before["fc.weight"])
    score, probabilities = evaluate(model, make_batches(4), choose_hardware("cpu"), drop)
    assert probabilities.shape == (4, 10)
    assert score.loss > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_a_loss_that_is_not_finite_raises_before_the_step(acme: BackboneSpec, model: nn.Module, value: float) -> None:
    good, bad = make_batches(4, 4)
    bad[0][0, 0, 0, 0] = value
    twin = acme.build(None)
    twin.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    train_one_epoch(make_learner(twin, ("classifier.3",), lr=0.25), begin(), [good], drop)
    torch.manual_seed(0)
    learner = make_learner(model, ("classifier.3",), lr=0.25)
    with pytest.raises(NotFinite, match=r"(nan|inf).*, learning rate 0\.25$"):
        train_one_epoch(learner, begin(), [good, bad], drop)
    assert all(torch.equal(tensor, twin.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert learner.steps == 1


class Cliff(nn.Module):
    """A model with a finite loss whose gradient is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 10, bias=False)
        nn.init.zeros_(self.fc.weight)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(images[:, :1, 0, 0]).abs().sqrt()


def test_a_gradient_that_is_not_finite_raises_before_the_step() -> None:
    model = Cliff()
    with pytest.raises(NotFinite, match=r"loss 2\.303 with gradient norm (nan|inf)"):
        train_one_epoch(make_learner(model, ("fc",)), begin(), make_batches(4), drop)
    assert torch.equal(model.fc.weight, torch.zeros(10, 1))


# Evaluation.


def test_the_score_equals_one_computed_by_hand(model: nn.Module) -> None:
    batches = make_batches(4, 3, 1)
    done: list[int] = []
    before = tensors_of(model)
    score, probabilities = evaluate(model, batches, choose_hardware("cpu"), done.append)
    images, labels = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    with torch.inference_mode():
        expected = model.eval()(images).softmax(1)
    torch.testing.assert_close(probabilities, expected)
    assert score.loss == pytest.approx(-expected[torch.arange(8), labels].log().mean().item(), rel=1e-5)
    assert score.accuracy == (expected.argmax(1) == labels).float().mean().item()
    assert done == [4, 3, 1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_probabilities_are_fp32_and_add_up_to_one_in_any_precision(model: nn.Module) -> None:
    _, probabilities = evaluate(model, make_batches(4), choose_hardware("cpu", "bf16"), drop)
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(4))


class Caching(nn.Module):
    """A model that caches a tensor in its first forward pass, as some position embeddings do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(768, 10)
        self.scale: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        if self.scale is None:
            self.scale = torch.ones(768)
        logits: Tensor = self.fc(flat * (self.fc.weight[0] * self.scale))
        return logits


def test_a_tensor_cached_in_evaluation_can_be_used_in_training() -> None:
    model = Caching()
    evaluate(model, make_batches(2), choose_hardware("cpu"), drop)
    assert train_one_epoch(make_learner(model, ("fc",)), begin(), make_batches(2), drop).loss > 0
