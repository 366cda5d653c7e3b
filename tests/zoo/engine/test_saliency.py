"""The saliency is the gradient times the features of the last layer with spatial positions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.saliency import compute_saliency


class Convolutional(nn.Module):
    """A network whose class activation map is known: a linear layer on the mean of a feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.features(images)).flatten(1))


class Tokens(nn.Module):
    """A transformer that classifies with its first token."""

    def __init__(self, *, registers: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.start = nn.Parameter(torch.randn(1, 1 + registers, 8))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True, norm_first=True) for _ in range(2)
        )
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.start.expand(len(images), -1, -1), tokens], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(self.norm(tokens)[:, 0])


def test_the_saliency_of_a_pooled_linear_head_is_its_class_activation_map() -> None:
    torch.manual_seed(0)
    model, images = Convolutional().eval(), torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        features, predicted = model.features(images), model(images).argmax(1)
        expected = (features * model.head.weight[predicted][:, :, None, None]).sum(1).clamp(min=0)
        expected = expected / expected.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        expected = nn.functional.interpolate(expected[:, None], size=(16, 16), mode="bilinear")[:, 0]
    torch.testing.assert_close(compute_saliency(model, images), expected)


@pytest.mark.parametrize("registers", [0, 4])
def test_a_class_token_does_not_hide_the_places(registers: int) -> None:
    torch.manual_seed(1)
    model, images = Tokens(registers=registers).eval(), torch.randn(2, 3, 16, 16)
    saliency = compute_saliency(model, images)
    assert saliency.shape == (2, 16, 16)
    assert ((saliency > 0).flatten(1).sum(1) > 1).all()
    assert saliency.min() >= 0
    assert saliency.max() <= 1


def test_only_the_place_that_decides_has_a_high_value() -> None:
    model = Convolutional().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.features[0].weight[0, 0, 1, 1] = 1
        model.head.weight[1, 0] = 1
    images = torch.zeros(1, 3, 16, 16)
    images[0, 0, 4, 8] = 1
    saliency = compute_saliency(model, images)[0]
    row, column = divmod(int(saliency.argmax()), 16)
    assert abs(row - 4) <= 1
    assert abs(column - 8) <= 1
    assert saliency[12:].max() == 0


def test_frozen_parameters_stay_frozen_and_get_no_gradient() -> None:
    model = Convolutional().eval().requires_grad_(requires_grad=False)
    assert compute_saliency(model, torch.randn(1, 3, 8, 8)).shape == (1, 8, 8)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())


def test_a_network_without_places_has_no_saliency() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    assert compute_saliency(model, torch.randn(2, 3, 8, 8)).eq(0).all()


def test_the_values_equal_those_of_captum() -> None:
    attr = pytest.importorskip("captum.attr", reason="captum is not installed: pip install -e '.[test-captum]'")
    torch.manual_seed(2)
    model, images = Convolutional().eval(), torch.randn(2, 3, 8, 8)
    predicted = model(images).argmax(1)
    layer = attr.LayerGradientXActivation(model, model.features)
    values = layer.attribute(images, target=predicted).sum(1).clamp(min=0).detach()
    values = values / values.amax(dim=(1, 2), keepdim=True)
    expected = nn.functional.interpolate(values[:, None], size=(8, 8), mode="bilinear")[:, 0]
    torch.testing.assert_close(compute_saliency(model, images), expected)


def test_the_backward_pass_ends_at_the_last_layers() -> None:
    torch.manual_seed(3)
    reached: list[int] = []
    layers = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(30)]
    for place, layer in enumerate(layers):
        layer.register_full_backward_hook(lambda *_, place=place: reached.append(place))
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    assert compute_saliency(model, torch.randn(2, 3, 8, 8)).max() > 0
    assert reached
    assert min(reached) > 20


def test_the_backward_pass_goes_to_the_first_layer_if_no_later_one_has_places() -> None:
    torch.manual_seed(3)
    one_place = [nn.Linear(1, 1) for _ in range(30)]  # a class token that many layers process
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), Start(), *one_place, nn.Flatten(), nn.Linear(65, 2)).eval()
    nn.init.zeros_(model[-1].weight)
    with torch.no_grad():
        model[-1].weight[:, 0] = 1
    assert compute_saliency(model, torch.randn(2, 3, 8, 8)).max() > 0


class Start(nn.Module):
    """Make tokens whose first one is the mean of the places, and the others of which reach no logit."""

    def forward(self, features: Tensor) -> Tensor:
        places = features.mean(1).flatten(1)
        return torch.cat([places.mean(1, keepdim=True), places], 1)[:, :, None]
