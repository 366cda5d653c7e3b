"""What families.py claims, held against every network that it speaks of, on the meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo_torchvision.catalogue import get_facts, load_catalogue
from zoo_torchvision.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.plugin import BackboneSpec

    Build = Callable[..., nn.Module]


def is_within(parameter: str, prefix: str) -> bool:
    return parameter == prefix or parameter.startswith(prefix + ".")


def find_owners(spec: BackboneSpec, parameter: str) -> list[str]:
    """Name the blocks and heads that claim a parameter, one entry for each prefix that fits."""
    heads = [head for head in (*spec.head, *spec.aux_heads) if is_within(parameter, head)]
    return heads + [block.name for block in spec.blocks for prefix in block.prefixes if is_within(parameter, prefix)]


def test_params_are_counted_as_built(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    assert spec.params == sum(parameter.numel() for parameter in build_on_meta(name).parameters())


def test_heads_give_the_logits_and_none_is_forgotten(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    outputs = {
        path: layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        for path, layer in build_on_meta(name).named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    heads = {path for path, count in outputs.items() if count == spec.num_classes == 1000}
    assert heads == {*spec.head, *spec.aux_heads}
    assert len(spec.head) == 1


def test_every_parameter_is_in_exactly_one_block_or_head(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    owners = {key: find_owners(spec, key) for key, _ in build_on_meta(name).named_parameters()}
    assert {key: found for key, found in owners.items() if len(found) != 1} == {}


def test_every_prefix_names_a_parameter(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    keys = [key for key, _ in build_on_meta(name).named_parameters()]
    prefixes = [prefix for block in spec.blocks for prefix in block.prefixes]
    assert [prefix for prefix in prefixes if not any(is_within(key, prefix) for key in keys)] == []
    assert len(spec.blocks) >= 2


def test_every_buffer_is_in_a_block(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    """Else a frozen block's batch statistics would move unseen."""
    assert [key for key, _ in build_on_meta(name).named_buffers() if len(find_owners(spec, key)) != 1] == []


def test_blocks_run_in_the_order_in_which_they_are_listed(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    """In training, so that auxiliary heads run too, at the smallest legal size."""
    network = build_on_meta(name).train()
    order = {block.name: index for index, block in enumerate(spec.blocks)}
    seen: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda _module, _args, keys=keys: seen.extend(keys))
        for path, module in network.named_modules()
        if (keys := [f"{path}.{key}".removeprefix(".") for key, _ in module.named_parameters(recurse=False)])
    ]
    size = spec.input.min_size
    network(torch.empty(2, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    # The first owner is a head's path where a head owns it.
    run = [owner for key in seen if (owner := find_owners(spec, key)[0]) in order]
    assert [order[owner] for owner in run] == sorted(order[owner] for owner in run)
    assert set(run) == set(order)
    assert find_owners(spec, seen[-1])[0] == spec.head[0]


def test_classifier_is_a_region_of_layers_that_can_all_go(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    """The head is its last layer, and nothing in it is a norm, a convolution or a reshaping."""
    if spec.classifier is None:
        return
    region = build_on_meta(name).get_submodule(spec.classifier)
    path, _, last = spec.head[0].rpartition(".")
    assert (path, last) == (spec.classifier, str(len(region) - 1))
    assert {type(layer) for layer in region} <= {nn.Linear, nn.Dropout, nn.ReLU, nn.Hardswish}


def test_vgg_is_classic(specs: dict[str, BackboneSpec], build_on_meta: Build) -> None:
    spec = specs["vgg16"]
    assert [block.name for block in spec.blocks] == ["stage1", "stage2", "stage3", "stage4", "stage5", "classifier"]
    assert spec.blocks[4].prefixes == ("features.24", "features.26", "features.28")
    assert spec.classifier == "classifier"
    assert build_on_meta("vgg16").get_submodule("classifier.0").in_features == 25088


def test_auxiliary_heads_belong_to_the_blocks_after_which_they_branch_off(specs: dict[str, BackboneSpec]) -> None:
    blocks = {block.name: block.prefixes for block in specs["googlenet"].blocks + specs["inception_v3"].blocks}
    assert blocks["inception4a"] == ("inception4a", "aux1.conv", "aux1.fc1")
    assert blocks["inception4d"] == ("inception4d", "aux2.conv", "aux2.fc1")
    assert blocks["Mixed_6e"] == ("Mixed_6e", "AuxLogits.conv0", "AuxLogits.conv1")
    assert (specs["googlenet"].aux_weight, specs["inception_v3"].aux_weight) == (0.3, 0.4)


def test_every_family_is_used() -> None:
    assert {get_facts(name)["module"] for name in load_catalogue()["backbones"]} == set(FAMILIES)
