from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_registries import make_registry
from zoo.registry.registry import Registry, list_backbones


@given(pattern=st.text(alphabet="acmenet/*?[]!-^18\n", max_size=12))
@settings(deadline=None)
def test_any_text_is_a_valid_pattern(pattern: str) -> None:
    registry = make_registry({"acme": ["net", "net18"]})
    found = list_backbones(pattern, registry)
    assert [backbone for backbone in registry.list_backbones() if backbone in found] == found


@pytest.fixture
def listed() -> Registry:
    return make_registry({"timm": ["vit_b", "resnet18"], "acme": ["vit", "net"]})


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (None, ["acme/net", "acme/vit", "timm/resnet18", "timm/vit_b"]),
        ("vit", ["acme/vit", "timm/vit_b"]),
        ("net", ["acme/net", "timm/resnet18"]),
        ("timm/", ["timm/resnet18", "timm/vit_b"]),
        ("timm/v*", ["timm/vit_b"]),
        ("v?t", ["acme/vit"]),
        ("*18", ["timm/resnet18"]),
        ("[nv]*t", ["acme/net", "acme/vit"]),
        ("nothing", []),
        ("VIT", ["acme/vit", "timm/vit_b"]),
        ("Timm/V*", ["timm/vit_b"]),
        ("[NV]*T", ["acme/net", "acme/vit"]),
    ],
)
def test_a_pattern_is_part_of_a_name_or_matches_it_in_full(
    listed: Registry, pattern: str | None, names: list[str]
) -> None:
    assert [backbone.name for backbone in list_backbones(pattern, listed)] == names
