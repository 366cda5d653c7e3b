from __future__ import annotations

import copy

import pytest
import torch
import torchvision  # type: ignore[import-untyped]  # it has no types
from torch import Tensor, nn

from zoo.engine.adaptation import Adapter, marginal_entropy
from zoo.registry.adapt_design import AdaptDesign


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def build(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers, *pool).eval()


def test_the_loss_is_the_entropy_of_the_mean_of_the_probabilities() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    mean = logits.softmax(1).mean(0)
    assert marginal_entropy(logits).item() == pytest.approx(-(mean * mean.log()).sum().item())


def test_the_loss_is_finite_if_a_class_has_no_probability() -> None:
    logits = torch.tensor([[0.0, -1e30, -float("inf")]], requires_grad=True)
    loss = marginal_entropy(logits)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    assert loss.item() == 0


def test_the_steps_are_those_of_sgd_on_a_copy(images: Tensor) -> None:
    model = build(nn.ReLU())
    expected = copy.deepcopy(model)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.3)
    for _ in range(3):
        optimizer.zero_grad()
        marginal_entropy(expected(images[1:])).backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
    found = Adapter(model, AdaptDesign(views=4, steps=3, lr=0.3)).predict(images)
    torch.testing.assert_close(found, expected(images[:1]).softmax(1))
    assert not torch.allclose(found, model(images[:1]).softmax(1))


def test_batch_norms_mix_the_statistics_of_the_image_into_those_of_training(images: Tensor) -> None:
    model = build(nn.BatchNorm2d(4))
    with torch.no_grad():
        features = model[0](images[:1])
        expected = copy.deepcopy(model)
        expected[1].running_mean.mul_(16 / 17).add_(features.mean((0, 2, 3)) / 17)
        expected[1].running_var.mul_(16 / 17).add_(features.var((0, 2, 3), correction=0) / 17)
        found = Adapter(model, AdaptDesign(steps=0)).predict(images)
        torch.testing.assert_close(found, expected(images[:1]).softmax(1))


def test_a_norm_of_single_values_keeps_the_statistics_of_training(images: Tensor) -> None:
    model = build()
    model.append(nn.BatchNorm1d(3).eval())
    found = Adapter(model, AdaptDesign(steps=0)).predict(images)
    torch.testing.assert_close(found, model(images[:1]).softmax(1).detach())


def test_the_probabilities_of_an_uncertain_image_become_more_certain(images: Tensor) -> None:
    model = build(nn.ReLU())
    same = images[:1].expand(5, -1, -1, -1)
    plain = model(same[:1]).softmax(1).max()
    assert Adapter(model, AdaptDesign(views=4, lr=0.3)).predict(same).max() > plain


def test_dropout_stays_off(images: Tensor) -> None:
    adapter = Adapter(build(nn.Dropout(0.5)), AdaptDesign(lr=0.3))
    torch.testing.assert_close(adapter.predict(images), adapter.predict(images), rtol=0, atol=0)


def test_a_network_with_version_numbers_in_its_state_can_be_adapted() -> None:
    check_adapted(torchvision.models.mnasnet0_5(num_classes=3).eval())


def test_a_network_without_norms_can_be_adapted() -> None:
    check_adapted(torchvision.models.squeezenet1_1(num_classes=3).eval())


def test_a_transformer_can_be_adapted() -> None:
    sizes = {"image_size": 64, "patch_size": 16, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8}
    check_adapted(torchvision.models.VisionTransformer(**sizes, num_classes=3).eval())


def check_adapted(model: nn.Module) -> None:
    adapter = Adapter(model, AdaptDesign(views=2, lr=0.01))
    with adapter.verified(), torch.inference_mode():
        found = adapter.predict(torch.randn(3, 3, 64, 64))
    assert found.shape == (1, 3)
    assert found.isfinite().all()


def test_parameters_with_several_names_are_adapted_once(images: Tensor) -> None:
    model = build(nn.Conv2d(4, 4, 3, padding=1))
    model.insert(2, model[1])
    expected = copy.deepcopy(model)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.3)
    marginal_entropy(expected(images[1:])).backward()  # type: ignore[no-untyped-call]  # torch's own
    optimizer.step()
    found = Adapter(model, AdaptDesign(views=4, lr=0.3)).predict(images)
    torch.testing.assert_close(found, expected(images[:1]).softmax(1))
