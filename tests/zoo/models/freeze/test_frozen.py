"""Frozen tensors do not change in training, and trainable ones do."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from freezing import HEAD, freeze
from zoo.errors import FrozenMoved
from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.freeze import Frozen, list_batch_norms
from zoo.plugin import BackboneSpec
from zoo.registry.train_scope import TrainScope


def take_steps(model: nn.Module, frozen: Frozen, count: int = 3) -> None:
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5, weight_decay=0.1)
    for _ in range(count):
        model.train()  # any code may call this
        frozen.train()
        images = torch.randn(4, 3, 16, 16, generator=generator) * 3 + 1
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def list_training(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if module.training}


@pytest.mark.parametrize("train", ["head", "from:hidden", "from:layer2", "all"])
def test_only_trainable_parameters_require_gradients(acme: BackboneSpec, train: str) -> None:
    model, _ = freeze(acme, train)
    trainable = list_trainable(list_blocks(acme, model, HEAD), HEAD, TrainScope.parse(train))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith(tuple(f"{prefix}." for prefix in trainable)), name


def test_freezing_again_unfreezes_the_parameters_that_are_trainable_now(acme: BackboneSpec) -> None:
    model, _ = freeze(acme, "head")
    Frozen(model, ("stem", "layer1", "layer2", "classifier"))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("train", ["head", "from:hidden", "from:layer2", "from:layer1"])
def test_frozen_parameters_and_statistics_stay_bit_identical_and_the_rest_changes(
    acme: BackboneSpec, train: str
) -> None:
    model, frozen = freeze(acme, train)
    before, digest = tensors_of(model), frozen.digest()
    take_steps(model, frozen)
    trainable = list_trainable(list_blocks(acme, model, HEAD), HEAD, TrainScope.parse(train))
    for name, tensor in model.state_dict().items():
        is_trainable = name.startswith(tuple(f"{prefix}." for prefix in trainable))
        assert torch.equal(tensor, before[name]) != is_trainable, name
    assert frozen.check(digest) == digest


def test_without_eval_mode_the_statistics_would_change(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    digest = frozen.digest()
    model.train()
    model(torch.rand(4, 3, 16, 16))
    with pytest.raises(FrozenMoved, match="frozen parameter or buffer changed"):
        frozen.check(digest)


@pytest.mark.parametrize(
    ("train", "training"),
    [
        # Containers with trainable layers are in training mode, and so are the layers after the last frozen one.
        ("head", {"", "classifier", "classifier.1", "classifier.2", "classifier.3"}),
        ("from:hidden", {"", "pool", "flatten", "classifier", *(f"classifier.{n}" for n in range(4))}),
    ],
)
def test_dropout_is_off_between_frozen_layers_and_on_after_them(
    acme: BackboneSpec, train: str, training: set[str]
) -> None:
    model, frozen = freeze(acme, train)
    frozen.train()
    assert list_training(model) == training


def test_if_everything_is_trainable_every_module_is_in_training_mode(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme, "all")
    model.eval()
    frozen.train()
    assert list_training(model) == {name for name, _ in model.named_modules()}


def test_a_constant_buffer_does_not_turn_dropout_off_if_everything_is_trainable() -> None:
    angles = nn.Module()
    angles.register_buffer("angles", torch.ones(2))
    model = nn.Sequential(OrderedDict(embed=nn.Linear(2, 2), drop=nn.Dropout(0.5), rope=angles, fc=nn.Linear(2, 2)))
    Frozen(model, ("embed", "fc")).train()
    assert all(module.training for module in model.modules())
    Frozen(model, ("fc",)).train()
    assert not model.get_submodule("drop").training


def test_fixed_modules_are_trainable_in_eval_mode(acme: BackboneSpec) -> None:
    model = acme.build(None)
    norms = list_batch_norms(model)
    frozen = Frozen(model, ("stem", "layer1", "layer2", "classifier"), in_eval_mode=norms)
    frozen.train()
    assert len(norms) == 3
    assert not any(norm.training for norm in norms)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.SyncBatchNorm(2)])
def test_batch_norms_are_found_and_other_norms_are_not(norm: nn.Module) -> None:
    model = nn.Sequential(norm, nn.LayerNorm(2), nn.GroupNorm(1, 2))
    assert list_batch_norms(model) == [norm]


def test_freezing_and_training_never_change_the_type_of_a_module(acme: BackboneSpec) -> None:
    before = [(name, type(module)) for name, module in acme.build(None).named_modules()]
    model, frozen = freeze(acme)
    take_steps(model, frozen, count=1)
    assert [(name, type(module)) for name, module in model.named_modules()] == before


def test_a_frozen_module_is_put_into_eval_mode_once(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = nn.Conv2d(3, 3, 1)
    model = nn.Sequential(OrderedDict(stem=nn.Sequential(nn.Sequential(nn.Sequential(deep))), head=nn.Linear(3, 2)))
    frozen = Frozen(model, ("head",))
    calls: list[bool] = []
    monkeypatch.setattr(deep, "train", calls.append)
    frozen.train()
    assert calls == [True, False]
