"""Forward and backward passes of a model, and records of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Sums, train_one_epoch
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.models.freeze import Frozen
from zoo.models.output_field import describe_output
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

STEPS = 2
#: Learning rate. Adam changes every parameter that has a gradient by about this amount, however small the gradient is.
LEARNING_RATE = 1e-2

#: A batch of images, of shape (N, C, H, W), and their labels, of shape (N,).
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class MetaPass:
    """The record of a forward pass in eval mode on the meta device."""

    output: object
    #: Position of each used parameter in the order of first use, keyed by the parameter's ``id()``.
    uses: dict[int, int]
    #: Inputs of each head, one per call, keyed by the head's path.
    inputs: dict[str, list[Tensor]]


@contextmanager
def recorded_inputs(model: nn.Module, paths: Iterable[str]) -> Iterator[dict[str, list[Tensor]]]:
    """Record the inputs of modules while the model runs, keyed by the modules' paths."""
    inputs: dict[str, list[Tensor]] = {path: [] for path in paths}
    with ExitStack() as hooks:
        for path, own in inputs.items():
            hook = model.get_submodule(path).register_forward_pre_hook(
                lambda _module, given, own=own: own.append(given[0].clone())
            )
            hooks.enter_context(hook)
        yield inputs


@contextmanager
def averaging_on_meta(model: nn.Module) -> Iterator[None]:
    """Run batch norms with ``momentum=None`` on the meta device in training mode.

    They divide by the number of batches so far, which has no value on the meta device.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.momentum is None]
    for norm in norms:
        norm.momentum = 0.1
    try:
        yield
    finally:
        for norm in norms:
            norm.momentum = None


def list_outputs(output: object) -> list[Tensor]:
    """List the outputs of a model in training mode. `None` values are skipped.

    Raises:
        TypeError: If an output is not a tensor.
    """
    outputs = [one for one in (output if isinstance(output, (list, tuple)) else [output]) if one is not None]
    logits = [one for one in outputs if isinstance(one, Tensor)]
    if len(logits) != len(outputs):
        raise TypeError(f"it returns {describe_output(output)}, not logits or a tuple of logits")
    return logits


def compute_gradients(model: nn.Module, batch: Batch, aux_weight: float) -> Mapping[str, Tensor | None]:
    """Return the gradients of one forward and one backward pass, keyed by the parameters' names."""
    images, labels = batch
    model.zero_grad(set_to_none=True)
    loss, _ = Criterion(aux_weight=aux_weight)(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return gradients


@dataclass(frozen=True)
class TrainingSteps:
    """The effects of two training steps."""

    #: Names of the parameters and buffers that changed, bit for bit.
    changed: tuple[str, ...]
    #: Names of the modules that are in training mode afterwards.
    in_training_mode: tuple[str, ...]
    #: Names of the parameters that require gradients afterwards.
    trainable: tuple[str, ...]


def take_steps(model: nn.Module, frozen: Frozen, batch: Batch, aux_weight: float) -> TrainingSteps:
    """Train for two steps on the same batch with zoo's own engine."""
    before = {name: tensor.detach().clone() for name, tensor in _list_tensors(model).items()}
    hardware = Hardware(torch.device("cpu"), "fp32")
    learner = Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(aux_weight=aux_weight),
        optimizer=build_optimizer(OptimizerDesign("adamw"), model.parameters(), LEARNING_RATE, 0.0),
        schedule=Schedule(ScheduleDesign("constant"), STEPS),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
    )
    train_one_epoch(learner, EpochProgress(0, Sums(hardware.device)), [batch] * STEPS, lambda _count: None)
    return TrainingSteps(
        changed=tuple(name for name, tensor in _list_tensors(model).items() if not _are_equal(tensor, before[name])),
        in_training_mode=tuple(name for name, module in model.named_modules() if module.training),
        trainable=tuple(name for name, parameter in model.named_parameters() if parameter.requires_grad),
    )


def _list_tensors(model: nn.Module) -> Mapping[str, Tensor]:
    """Map names to all parameters and buffers, including those that are not saved."""
    return {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers(remove_duplicate=False))}


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Compare bit for bit; NaN equals NaN."""
    return one.shape == other.shape and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())
