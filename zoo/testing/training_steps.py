"""Two steps of training by zoo's own engine, and what they moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.learner import Learner
from zoo.engine.loop import Lap, Sums, train_one_epoch
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.models.blocks import list_trainable
from zoo.models.freeze import Frozen, list_batch_norms
from zoo.registry.train_scope import TrainScope
from zoo.testing.observations import Lesson

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import Subject

STEPS = 2
#: Adam moves every parameter that has a gradient by about this much, however small the gradient is.
LEARNING_RATE = 1e-2


def freeze(subject: Subject, train: str) -> Frozen:
    """Freeze the network as ``--train`` does."""
    network = subject.network
    return Frozen(network.model, list_trainable(subject.network_blocks, network.head, TrainScope.parse(train)))


def learn(subject: Subject, train: str) -> Lesson:
    """Let the network take two steps of ``--train``, once; later calls return what came of it."""
    if train not in subject.lessons:
        _ = subject.labels  # of the network as it was built
        subject.forget_answers()
        subject.lessons[train] = _take_steps(subject, train)
    return subject.lessons[train]


def _take_steps(subject: Subject, train: str) -> Lesson:
    model, frozen = subject.network.model, freeze(subject, train)
    before = copy_tensors(model)
    optimizer = build_optimizer("adamw", model.parameters(), LEARNING_RATE, 0.0)
    hardware = Hardware(torch.device("cpu"), "fp32")
    learner = Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(aux_weight=subject.backbone.aux_weight),
        optimizer=optimizer,
        schedule=Schedule("constant", STEPS),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
    )
    images = choose_images(model, subject.images)
    lap = Lap(0, Sums(hardware.device))
    train_one_epoch(learner, lap, [(images, subject.labels[: len(images)])] * STEPS, lambda _count: None)
    return Lesson(
        moved=tuple(name for name, tensor in list_tensors(model).items() if not have_same_bits(tensor, before[name])),
        awake=tuple(name for name, module in model.named_modules() if module.training),
        thawed=tuple(name for name, parameter in model.named_parameters() if parameter.requires_grad),
    )


def choose_images(model: nn.Module, images: Tensor) -> Tensor:
    """Choose as many as learning needs: one, or two where a batch norm compares them."""
    return images if list_batch_norms(model) else images[:1]


def list_tensors(model: nn.Module) -> Mapping[str, Tensor]:
    """List all parameters and buffers, those that are not saved too."""
    return {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers(remove_duplicate=False))}


def copy_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copy them, to compare with later."""
    return {name: tensor.detach().clone() for name, tensor in list_tensors(model).items()}


def have_same_bits(one: Tensor, other: Tensor) -> bool:
    """Compare bit for bit: what is not a number is the same as itself."""
    return one.shape == other.shape and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())
