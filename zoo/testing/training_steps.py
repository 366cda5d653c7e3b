"""Two steps of training by zoo's own engine, and what they changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Sums, train_one_epoch
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.models.freeze import Frozen, list_batch_norms

STEPS = 2
#: Adam moves every parameter that has a gradient by about this much, however small the gradient is.
LEARNING_RATE = 1e-2


@dataclass(frozen=True)
class TrainingSteps:
    """What two steps of training did."""

    #: Parameters and buffers that are not what they were, bit for bit.
    moved: tuple[str, ...]
    #: Modules that are in training mode afterwards.
    in_training_mode: tuple[str, ...]
    #: Parameters that require gradients afterwards.
    trainable: tuple[str, ...]


def take_steps(model: nn.Module, frozen: Frozen, batch: tuple[Tensor, Tensor], aux_weight: float) -> TrainingSteps:
    """Train on a batch of images and labels twice."""
    before = {name: tensor.detach().clone() for name, tensor in _list_tensors(model).items()}
    hardware = Hardware(torch.device("cpu"), "fp32")
    learner = Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(aux_weight=aux_weight),
        optimizer=build_optimizer("adamw", model.parameters(), LEARNING_RATE, 0.0),
        schedule=Schedule("constant", STEPS),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
    )
    images, labels = batch
    train_one_epoch(
        learner, EpochProgress(0, Sums(hardware.device)), [(images, labels[: len(images)])] * STEPS, lambda _count: None
    )
    return TrainingSteps(
        moved=tuple(name for name, tensor in _list_tensors(model).items() if not _are_same(tensor, before[name])),
        in_training_mode=tuple(name for name, module in model.named_modules() if module.training),
        trainable=tuple(name for name, parameter in model.named_parameters() if parameter.requires_grad),
    )


def choose_images(model: nn.Module, images: Tensor) -> Tensor:
    """Choose as many images as training needs: one, or two if a batch norm compares them."""
    return images if list_batch_norms(model) else images[:1]


def _list_tensors(model: nn.Module) -> Mapping[str, Tensor]:
    """List all parameters and buffers, also those that are not saved."""
    return {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers(remove_duplicate=False))}


def _are_same(one: Tensor, other: Tensor) -> bool:
    """Compare bit for bit: what is not a number is the same as itself."""
    return one.shape == other.shape and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())
