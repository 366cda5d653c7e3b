"""One training step: its result with any number of micro-batches, and its errors."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from out_of_memory import SAYINGS, Once
from recording_progress import RecordingProgress
from zoo.engine.criterion import Criterion
from zoo.engine.device import choose_hardware
from zoo.engine.learner import Learner
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.mixup import build_mix
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.engine.step import NotFinite, learn
from zoo.errors import TrainingError, is_out_of_memory
from zoo.models.freeze import Frozen
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

LABELS = torch.tensor([0, 1, 2, 0, 1, 0, 0])
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("Expected more than 1 value per channel when training"),
    RuntimeError("shared memory is read-only"),
    RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed."),
    ValueError("out of memory"),
    KeyError("out of memory"),
]


class Plain(nn.Module):
    """A model without batch norms whose forward pass can fail."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Linear(12, 8)
        self.fc = nn.Linear(8, 3)
        self.fail: Callable[[], None] = lambda: None

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images.flatten(1)).tanh()
        self.fail()
        logits: Tensor = self.fc(features)
        return logits


def make_learner(
    model: nn.Module, count: int = 1, progress: RecordingProgress | None = None, **changes: object
) -> Learner:
    hardware = choose_hardware("cpu", "fp32")
    frozen = Frozen(model, ("body", "fc"))
    frozen.train()
    defaults: dict[str, object] = {
        "model": model,
        "frozen": frozen,
        "criterion": Criterion(),
        "optimizer": build_optimizer(OptimizerDesign("adamw"), model.parameters(), 0.01, 0.1),
        "schedule": Schedule(ScheduleDesign("constant"), 10),
        "hardware": hardware,
        "scaler": hardware.build_scaler(),
        "seed": 0,
        "micro_batches": MicroBatches(count, (progress or RecordingProgress()).say),
    }
    return Learner(**{**defaults, **changes})  # type: ignore[arg-type]


def make_images(count: int = 7) -> Tensor:
    return torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(5))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("count", [2, 3, 7, 20])
@pytest.mark.parametrize("class_weights", [None, torch.tensor([0.5, 2.0, 3.0])])
def test_micro_batches_have_the_result_of_the_full_batch(count: int, class_weights: Tensor | None) -> None:
    full, split = Plain(), Plain()
    criterion = Criterion(0.1, class_weights=class_weights)
    expected = learn(make_learner(full, criterion=criterion), (make_images(), LABELS), 0)
    found = learn(make_learner(split, count, criterion=criterion), (make_images(), LABELS), 0)
    torch.testing.assert_close((found.loss, found.correct), (expected.loss, expected.correct))
    torch.testing.assert_close(weights_of(split), weights_of(full), rtol=0, atol=1e-5)


@pytest.mark.parametrize("error", SAYINGS, ids=lambda error: str(error)[:40])
@pytest.mark.parametrize("where", ["forward", "backward", "step", "slots"])
def test_out_of_memory_retries_the_batch_with_more_micro_batches(error: RuntimeError, where: str) -> None:
    expected, model, progress = Plain(), Plain(), RecordingProgress()
    learn(make_learner(expected, 2), (make_images(), LABELS), 0)
    learner, fail = make_learner(model, 1, progress), Once(error)
    if where == "forward":
        model.fail = fail
    elif where == "backward":
        model.fc.weight.register_hook(fail)
    elif where == "step":
        learner.optimizer.register_step_pre_hook(fail)
    else:  # the state of Adam is incomplete
        learner.optimizer.register_step_pre_hook(lambda *_: learner.optimizer.state[model.fc.weight].update(step=0))
        learner.optimizer.register_step_pre_hook(fail)
        learner.optimizer.register_step_pre_hook(lambda *_: learner.optimizer.state.clear())
    learn(learner, (make_images(), LABELS), 0)
    found, others = weights_of(model), weights_of(expected)
    assert all(torch.equal(tensor, others[name]) for name, tensor in found.items())
    assert (learner.micro_batches.count, learner.steps) == (2, 1)
    (line,) = progress.lines
    assert line.startswith("note: out of memory; splitting each batch into 2 micro-batches from now on")


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_not_treated_as_out_of_memory(error: Exception) -> None:
    model = Plain()
    model.fail = Once(error)
    with pytest.raises(type(error)) as caught:
        learn(make_learner(model), (make_images(), LABELS), 0)
    assert caught.value is error
    assert not is_out_of_memory(error)


def test_out_of_memory_for_one_image_is_an_error() -> None:
    model = Plain()

    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.fail = fail
    with pytest.raises(TrainingError, match="not enough memory for one image at a time"):
        learn(make_learner(model), (make_images(), LABELS), 0)


class Counting(nn.Module):
    """A model with a batch norm, which can fail after it."""

    def __init__(self, fail: Callable[[], None]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12))
        self.fc = nn.Linear(12, 3)
        self.fail = fail

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        self.fail()
        logits: Tensor = self.fc(features)
        return logits


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("x"), None])
def test_batch_norm_statistics_of_a_failed_step_are_restored(error: Exception | None) -> None:
    model = Counting(Once(error) if error else lambda: None)
    before = weights_of(model)
    images = make_images()
    if error is None:
        images[0] = float("nan")
        with pytest.raises(NotFinite):
            learn(make_learner(model), (images, LABELS), 0)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    else:
        learn(make_learner(model), (images, LABELS), 0)
        assert int(model.state_dict()["body.1.num_batches_tracked"]) == 2  # one for each micro-batch


@pytest.mark.parametrize("where", ["image", "loss", "weight", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_raises_before_anything_changes(where: str, value: float) -> None:
    model, images = Plain(), make_images()
    if where == "image":
        images[2, 0, 0, 0] = value
    elif where == "weight":
        model.fc.bias.data[1] = value
    elif where == "loss":
        model.fc.register_forward_hook(lambda _module, _inputs, logits: logits * value)
    else:
        model.body.weight.register_hook(lambda gradient: gradient * value)
    before, learner = weights_of(model), make_learner(model)
    with pytest.raises(NotFinite, match=r"^loss .* with gradient norm .*, learning rate 0\.01$"):
        learn(learner, (images, LABELS), 0)
    assert all(torch.equal(t, before[name]) or where == "weight" for name, t in model.state_dict().items())
    assert learner.steps == 0
    assert not learner.optimizer.state


@pytest.mark.parametrize("norm", [1e-3, 1e6])
def test_gradients_are_clipped_to_a_norm(norm: float) -> None:
    model = Plain()
    learner = make_learner(model, clip_norm=norm)
    learn(learner, (make_images(), LABELS), 0)
    found = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    twin = Plain()
    learn(make_learner(twin), (make_images(), LABELS), 0)
    unclipped = torch.nn.utils.get_total_norm([p.grad for p in twin.parameters() if p.grad is not None])
    assert found.item() == pytest.approx(min(norm, unclipped.item()), rel=1e-3)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_is_determined_by_the_seed(mixup: float, cutmix: float) -> None:
    images, results = torch.rand(6, 3, 8, 8), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(build_mix(mixup, cutmix, 3)(images, LABELS[:6]))
    (first, targets), (again, same), (other, _) = results
    assert torch.equal(first, again)
    assert torch.equal(targets, same)
    assert not torch.equal(first, other)
    assert targets.shape == (6, 3)
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    assert not torch.equal(first, images)


def test_mixed_images_are_trained_with_mixed_targets() -> None:
    model, twin = Plain(), Plain()
    mix = build_mix(0.4, 0.0, 3)
    learn(make_learner(model, 2, mix=mix), (make_images(), LABELS), 3)
    torch.manual_seed(3)
    mixed, targets = mix(make_images(), LABELS)
    learn(make_learner(twin, mix=lambda _images, _labels: (mixed, targets)), (make_images(), LABELS), 3)
    torch.testing.assert_close(weights_of(model), weights_of(twin), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0)])
def test_each_label_of_a_mixed_image_has_the_weight_of_its_own_image(mixup: float, cutmix: float) -> None:
    images, labels, weights = torch.rand(7, 3, 8, 8), LABELS, torch.tensor([1.0, 2, 0.5, 4, 1e-9, 3, 1])
    mix, logits = build_mix(mixup, cutmix, 3), torch.randn(7, 3)
    torch.manual_seed(1)
    mixed, targets, found = mix(images, labels, weights)
    torch.manual_seed(1)
    plain, shares = mix(images, torch.tensor([0, 1, 1, 1, 1, 1, 1]))
    ratio = shares[0, 0]  # the proportion of an image's own label
    one, other = (cross_entropy(logits, some, reduction="none") for some in (labels, labels.roll(1)))
    wanted = (ratio * weights * one + (1 - ratio) * weights.roll(1) * other).sum() / weights.sum()
    loss, _ = Criterion()(logits, targets, found)
    torch.testing.assert_close(loss, wanted)
    assert torch.equal(mixed, plain)
    assert 0.01 < ratio < 0.99


def test_nothing_is_mixed_by_default() -> None:
    images = make_images()
    assert build_mix(0.0, 0.0, 3)(images, LABELS) == (images, LABELS)


def test_out_of_memory_after_weights_have_changed_is_an_error() -> None:
    model = Plain()
    learner = make_learner(model)
    learner.optimizer.register_step_post_hook(Once(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(TrainingError, match="not enough memory for the optimizer state"):
        learn(learner, (make_images(), LABELS), 0)


def test_micro_batches_have_a_minimum_size() -> None:
    for count in (2, 3, 5, 8):
        sizes = [len(images) for (images,) in MicroBatches(count, least=2).split(torch.zeros(9))]
        assert sum(sizes) == 9
        assert min(sizes) >= 2
    assert [len(images) for (images,) in MicroBatches(4, least=2).split(torch.zeros(1))] == [1]


def test_gradients_that_are_never_finite_are_an_error_in_fp16() -> None:
    model = Plain()
    learner = make_learner(model, scaler=torch.amp.GradScaler("cpu", init_scale=4.0))
    model.body.weight.register_hook(lambda gradient: gradient * float("nan"))
    before = weights_of(model)
    for _ in range(3):  # each step halves the scale, as after an overflow
        learn(learner, (make_images(), LABELS), 0)
    with pytest.raises(NotFinite):
        learn(learner, (make_images(), LABELS), 0)
    assert learner.steps == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_label_of_a_mixed_image_is_its_most_probable_class() -> None:
    model = Plain()
    predicted = model(make_images(2)).argmax(1)
    targets = torch.full((2, 3), 0.2).scatter(1, predicted[:, None], 0.6)
    result = learn(
        make_learner(model, mix=lambda images, _labels: (images, targets)), (make_images(2), 2 - predicted), 0
    )
    assert (result.correct, result.count) == (2, 2)


class FailingOnce(nn.Module):
    """A model that fails in its first forward pass, and checks in the second whether tensors of the first are alive."""

    def __init__(self, error: Exception, *, is_cyclic: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 3)
        self._errors = [error]
        self._is_cyclic = is_cyclic
        self._first: weakref.ref[Tensor] | None = None
        self.is_alive: bool | None = None

    def forward(self, images: Tensor) -> Tensor:
        activations = images.flatten(1) * 2
        if self._errors:
            self._first = weakref.ref(activations)
            if self._is_cyclic:
                error = self._errors.pop()
                raise error  # Its traceback refers to this frame, and this frame to the error.
            raise self._errors.pop()
        assert self._first is not None
        if self.is_alive is None:
            self.is_alive = self._first() is not None
        logits: Tensor = self.fc(activations)
        return logits


@pytest.mark.parametrize("is_cyclic", [False, True])
def test_tensors_of_a_failed_attempt_are_freed_before_the_retry(*, is_cyclic: bool) -> None:
    model = FailingOnce(torch.OutOfMemoryError("CUDA out of memory"), is_cyclic=is_cyclic)
    learner = make_learner(model, frozen=Frozen(model, ("fc",)))
    gc.collect()
    gc.disable()  # the retry must not depend on the garbage collector
    try:
        learn(learner, (make_images(), LABELS), 0)
    finally:
        gc.enable()
    assert model.is_alive is False


class WithoutGradients(Plain):
    """A model whose forward pass keeps gradients from all parameters."""

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(images)


def test_a_loss_that_depends_on_no_trained_parameter_is_explained() -> None:
    with pytest.raises(TrainingError, match="no gradient reaches any parameter to be trained"):
        learn(make_learner(WithoutGradients()), (make_images(), LABELS), 0)
