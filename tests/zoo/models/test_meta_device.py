from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from zoo.errors import PluginError
from zoo.models.meta_device import build_on_meta
from zoo.models.on_meta import parameters_on_meta
from zoo.plugin import BackboneSpec

META = torch.device("meta")


class Net(nn.Module):
    """A layer, a buffer that is computed from values, and a parameter that never gets gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3, bias=False)
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("steps", torch.linspace(0, 1, 3))


def build_by_values(tag: str | None) -> nn.Module:
    """Build like RegNet's builder, which computes widths with tensors and reads them back."""
    widths = [int(width) for width in torch.linspace(2, 4, 2).tolist()]
    return nn.Sequential(nn.Conv2d(3, widths[0], 1), nn.BatchNorm2d(widths[0]), nn.Linear(widths[0], len(tag or "123")))


def list_devices(model: nn.Module) -> set[torch.device]:
    return {tensor.device for tensor in (*model.parameters(), *model.buffers())}


def test_a_model_is_built_on_the_meta_device(acme: BackboneSpec) -> None:
    model = build_on_meta(acme)
    assert list_devices(model) == {META}
    assert sum(parameter.numel() for parameter in model.parameters()) == acme.params


def test_a_builder_that_reads_values_back_succeeds_in_the_second_way(acme: BackboneSpec) -> None:
    with pytest.raises(RuntimeError), META:
        build_by_values(None)
    model = build_on_meta(dataclasses.replace(acme, build=build_by_values), "12")
    assert list_devices(model) == {META}
    assert {name: tuple(tensor.shape) for name, tensor in model.named_parameters()} == {
        "0.weight": (2, 3, 1, 1),
        "0.bias": (2,),
        "1.weight": (2,),
        "1.bias": (2,),
        "2.weight": (2, 2),
        "2.bias": (2,),
    }


def test_a_tensor_of_the_old_constructor_is_moved_to_the_meta_device(acme: BackboneSpec) -> None:
    def build(_tag: str | None) -> nn.Module:
        model = nn.Linear(2, 2)
        model.mask = nn.Parameter(torch.Tensor(2, 2), requires_grad=False)
        return model

    model = build_on_meta(dataclasses.replace(acme, build=build))
    assert list_devices(model) == {META}
    assert not model.get_parameter("mask").requires_grad


def test_a_builder_that_fails_in_both_ways_is_a_plugin_error_and_has_no_lasting_effect(acme: BackboneSpec) -> None:
    def fail(_tag: str | None) -> nn.Module:
        raise OSError("no such file")

    with pytest.raises(PluginError, match="acme/net cannot be built: OSError: no such file"):
        build_on_meta(dataclasses.replace(acme, build=fail))
    assert list_devices(Net()) == {torch.device("cpu")}


def test_only_parameters_are_moved_to_meta() -> None:
    with parameters_on_meta():
        model = Net()
    assert {parameter.device for parameter in model.parameters()} == {META}
    assert model.get_buffer("steps").tolist() == [0, 0.5, 1]
    assert (model.fc.weight.requires_grad, model.scale.requires_grad) == (True, False)
    assert model.fc.bias is None
    assert isinstance(model.scale, nn.Parameter)


def test_parameters_are_not_moved_after_the_block() -> None:
    with parameters_on_meta():
        pass
    assert list_devices(Net()) == {torch.device("cpu")}


def test_parameters_are_not_moved_after_an_error_in_the_block() -> None:
    with pytest.raises(OSError, match="why"), parameters_on_meta():
        raise OSError("why")
    assert list_devices(Net()) == {torch.device("cpu")}


def test_a_shared_parameter_stays_shared() -> None:
    with parameters_on_meta():
        one, other = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        other.weight = one.weight
    assert other.weight is one.weight
    assert one.weight.is_meta


def test_a_backbone_that_needs_the_cpu_is_built_there(acme: BackboneSpec) -> None:
    spec = dataclasses.replace(acme, unsupported={"meta": "its builder reads values"})
    assert list_devices(build_on_meta(spec)) == {torch.device("cpu")}


def test_a_backbone_is_adapted_to_other_channels_on_the_meta_device(acme: BackboneSpec) -> None:
    spec = dataclasses.replace(acme, first_conv="stem.0")
    weight = build_on_meta(spec, channels=1).get_parameter("stem.0.weight")
    assert (weight.is_meta, weight.shape) == (True, (8, 1, 3, 3))
