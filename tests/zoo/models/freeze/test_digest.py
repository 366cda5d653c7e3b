"""The digest of the frozen part changes with any frozen tensor, and with nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from freezing import Shared, freeze
from zoo.errors import FrozenMoved
from zoo.models.freeze import Frozen
from zoo.models.head import replace_head
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign


def change(path: str, function: Callable[[torch.Tensor], object]) -> Callable[[nn.Module], object]:
    return lambda model: function(model.state_dict(keep_vars=True)[path].data)


def rename_stem(model: nn.Module) -> None:
    model.trunk = model.stem
    del model.stem


def add_a_buffer(model: nn.Module) -> None:
    model.get_submodule("layer1").register_buffer("new", torch.zeros(()))


def make_double(model: nn.Module) -> None:
    norm = model.get_submodule("stem.1")
    norm.running_mean = norm.running_mean.double()


def make_float(model: nn.Module) -> None:
    norm = model.get_submodule("layer1.1")
    norm.num_batches_tracked = norm.num_batches_tracked.double()  # zero has the same bytes in both dtypes


def make_flat(model: nn.Module) -> None:
    layer = model.get_submodule("classifier.0")
    layer.weight = nn.Parameter(layer.weight.detach().reshape(16, 12), requires_grad=False)


@pytest.mark.parametrize(
    "move",
    [
        change("stem.0.weight", lambda tensor: tensor[0, 0, 0, 0].add_(1e-6)),
        change("classifier.0.bias", lambda tensor: tensor.neg_()),
        change("layer2.1.running_var", lambda tensor: tensor[3].mul_(1.001)),
        change("layer1.1.num_batches_tracked", lambda tensor: tensor.add_(1)),
        change("layer1.1.weight", lambda tensor: tensor[0].fill_(float("nan"))),
        rename_stem,
        add_a_buffer,
        make_double,
        make_float,
        make_flat,
    ],
)
def test_the_digest_changes_with_any_frozen_tensor(acme: BackboneSpec, move: Callable[[nn.Module], object]) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    move(model)
    with pytest.raises(FrozenMoved):
        frozen.check(before)


def test_the_digest_includes_non_persistent_buffers(acme: BackboneSpec) -> None:
    model, _ = freeze(acme)
    model.get_submodule("stem").register_buffer("hidden", torch.zeros(2), persistent=False)
    frozen = Frozen(model, ("classifier.3",))
    before = frozen.digest()
    model.get_submodule("stem").hidden.add_(1)
    assert frozen.digest() != before


def test_the_digest_does_not_change_with_the_head(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    replace_head(acme, model, 3, HeadDesign())
    assert frozen.check(before) == before


def test_the_digest_does_not_depend_on_memory_format_or_the_order_of_layers(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert not model.get_submodule("stem.0").weight.is_contiguous()
    assert frozen.digest() == before
    stem = model.stem
    del model.stem
    model.stem = stem  # it is the last module now
    assert frozen.digest() == before


def test_equal_models_have_equal_digests_and_different_models_do_not(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    twin = Frozen(copy.deepcopy(model), ("classifier.3",))
    other = Frozen(acme.build(None), ("classifier.3",))
    assert len(frozen.digest()) == 64
    assert frozen.digest() == twin.digest() != other.digest()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_dtype_has_a_digest(acme: BackboneSpec, dtype: torch.dtype) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    model.to(dtype)
    assert frozen.digest() != before


def test_a_shared_layer_is_frozen_and_hashed_under_both_names() -> None:
    model = Shared()
    frozen = Frozen(model, ("head",))
    before = frozen.digest()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.rand(2, 3)).sum().backward()
    optimizer.step()
    assert not model.one.weight.requires_grad
    assert frozen.check(before) == before
    model.two = nn.Linear(3, 3).requires_grad_(False)
    model.two.load_state_dict(model.one.state_dict())
    assert frozen.digest() == before  # the same values under the same names
    nn.init.ones_(model.two.weight)
    assert frozen.digest() != before
