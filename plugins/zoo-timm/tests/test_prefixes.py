from __future__ import annotations

from zoo_timm.prefixes import covers, shortest_prefixes


def test_a_prefix_ends_at_a_dot() -> None:
    assert covers("layer1", "layer1.0.bias")
    assert covers("cls_token", "cls_token")
    assert not covers("layer1", "layer10.bias")


def test_prefixes_are_as_short_as_possible() -> None:
    owners = {"conv.weight": 0, "layer.0.a": 1, "layer.0.b": 1, "layer.1.a": 2, "layer.1.b": 0}
    assert shortest_prefixes(owners) == {0: ("conv", "layer.1.b"), 1: ("layer.0",), 2: ("layer.1.a",)}
