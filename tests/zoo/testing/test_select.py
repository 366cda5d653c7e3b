from __future__ import annotations

import dataclasses

import pytest

from zoo.plugin import BackboneSpec
from zoo.plugin.fields import checks_deferred
from zoo.testing.select import choose_backbones, count_params


def make(acme: BackboneSpec, name: str, family: object = "a", params: object = 5) -> BackboneSpec:
    with checks_deferred():
        return dataclasses.replace(acme, name=f"acme/{name}", family=family, params=params)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "chosen"), [("*", ["net", "net_b", "vit"]), ("net*", ["net", "net_b"]), ("net", ["net"]), ("ne", [])]
)
def test_a_pattern_must_match_the_full_name_without_the_namespace(
    acme: BackboneSpec, pattern: str, chosen: list[str]
) -> None:
    backbones = [make(acme, name) for name in ("net", "net_b", "vit")]
    found = choose_backbones(backbones, pattern, each_family=False)
    assert [spec.name for spec in found] == [f"acme/{name}" for name in chosen]


def test_the_smallest_backbone_of_each_family_is_chosen_and_ties_are_broken_by_order(acme: BackboneSpec) -> None:
    backbones = [make(acme, "big", params=9), make(acme, "one"), make(acme, "two"), make(acme, "vit", "v", 9)]
    assert [spec.name for spec in choose_backbones(backbones, each_family=True)] == ["acme/one", "acme/vit"]
    assert [spec.name for spec in choose_backbones(backbones, "[bv]i*", each_family=True)] == ["acme/big", "acme/vit"]


def test_invalid_specs_are_also_chosen(acme: BackboneSpec) -> None:
    faulty = [make(acme, "one", ["a"], "5M"), make(acme, "two", None, None), make(acme, "three", ["a"], 5)]
    assert [spec.name for spec in choose_backbones(faulty, each_family=True)] == ["acme/one", "acme/two"]
    assert [count_params(spec) for spec in faulty] == [0, 0, 5]
