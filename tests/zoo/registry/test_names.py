from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_registries import TAGS, explain, make_backbone, make_plugin, make_registry, resolve
from zoo.errors import NameNotFound
from zoo.registry.plugins.discovery import FIRST_PARTY
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.registry.resolved import Resolved

# Precedence.


def test_a_qualified_name_finds_exactly_that_backbone() -> None:
    registry = make_registry({"torchvision": ["net"], "acme": ["net"]}, order=("torchvision",))
    assert resolve(registry, "acme/net") == "acme/net"


def test_an_alias_wins_over_a_bare_name() -> None:
    registry = make_registry({"torchvision": ["net", "other"]}, aliases={"net": "torchvision/other"})
    assert resolve(registry, "net") == "torchvision/other"


def test_an_alias_can_include_a_tag_and_can_point_to_a_bare_name() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"old": "acme/net@V1", "new": "net"})
    assert registry.resolve("old").tag == "V1"
    assert resolve(registry, "new") == "acme/net"


def test_an_alias_never_wins_over_an_exact_name() -> None:
    registry = make_registry({"torchvision": ["net"], "acme": ["net"]}, aliases={"torchvision/net": "acme/net"})
    assert resolve(registry, "torchvision/net") == "torchvision/net"


def test_a_tag_can_follow_an_alias() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"short": "acme/net"})
    assert registry.resolve("short@V1").tag == "V1"
    assert registry.resolve("short").tag is None


def test_a_tag_in_the_name_wins_over_that_of_the_alias() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"old": "acme/net@V1"})
    resolved = registry.resolve("old@V2")
    assert (resolved.tag, resolved.name) == ("V2", "acme/net@V2")


def test_an_alias_with_an_unknown_tag_is_an_error() -> None:
    message = explain(make_registry({"acme": ["net"]}, aliases={"old": "acme/net@V9"}), "old")
    assert "acme/net has no weights 'V9'" in message


def test_an_alias_wins_over_the_order() -> None:
    names = {"torchvision": ["net"], "timm": ["net"]}
    registry = make_registry(names, order=("torchvision", "timm"), aliases={"net": "timm/net"})
    assert resolve(registry, "net") == "timm/net"


def test_an_alias_can_point_to_an_unlisted_backbone() -> None:
    plugin = make_plugin("acme", zoo_find_backbone=lambda name: make_backbone(f"acme/{name}"))
    assert resolve(Registry([plugin], RegistryToml(aliases={"short": "acme/hidden"})), "short") == "acme/hidden"


def test_an_alias_of_an_alias_is_not_followed() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"a": "b", "b": "acme/net", "c": "c"})
    assert "no backbone 'a (alias of b)'" in explain(registry, "a")
    assert "no backbone 'c'" in explain(registry, "c")


@pytest.mark.parametrize(
    ("order", "winner"), [(("timm", "torchvision"), "timm"), (("torchvision", "timm"), "torchvision")]
)
def test_the_order_decides_between_two_plugins_with_the_same_name(order: tuple[str, ...], winner: str) -> None:
    registry = make_registry({"torchvision": ["net"], "timm": ["net"]}, order=order)
    assert resolve(registry, "net") == f"{winner}/net"


def test_the_order_decides_between_two_third_party_plugins() -> None:
    registry = make_registry({"acme": ["net"], "bolt": ["net"]}, order=("bolt", "acme"))
    assert resolve(registry, "net") == "bolt/net"


def test_without_an_order_first_party_plugins_have_a_fixed_one() -> None:
    registry = make_registry({"timm": ["net"], "torchvision": ["net"]})
    assert resolve(registry, "net") == f"{next(iter(FIRST_PARTY))}/net"


@pytest.mark.parametrize("first_party", FIRST_PARTY)
def test_a_third_party_plugin_never_wins_a_bare_name_over_a_first_party_one(first_party: str) -> None:
    registry = make_registry({"acme": ["net"], first_party: ["net"]}, order=("acme",))
    assert resolve(registry, "net") == f"{first_party}/net"


def test_a_third_party_plugin_in_the_order_wins_if_no_first_party_plugin_has_the_name() -> None:
    registry = make_registry({"acme": ["net"], "timm": ["other"]}, order=("acme", "timm"))
    assert resolve(registry, "net") == "acme/net"


def test_a_unique_name_needs_no_namespace() -> None:
    registry = make_registry({"acme": ["net"], "timm": ["other"]}, order=("timm",))
    assert resolve(registry, "net") == "acme/net"


def test_an_ambiguous_name_is_an_error_that_lists_the_candidates() -> None:
    registry = make_registry({"acme": ["net"], "bolt": ["net"]})
    message = explain(registry, "net")
    assert "'net' is ambiguous" in message
    assert "acme/net, bolt/net" in message


# Weights.


def test_a_tag_is_kept_and_default_is_a_tag() -> None:
    registry = make_registry({"acme": ["net"]})
    assert registry.resolve("net@V1").tag == "V1"
    assert registry.resolve("acme/net@DEFAULT").tag == "DEFAULT"
    assert registry.resolve("acme/net").tag is None


def test_an_unknown_tag_is_an_error_that_lists_the_known_ones() -> None:
    message = explain(make_registry({"acme": ["net"]}), "net@V3")
    assert "acme/net has no weights 'V3'" in message
    assert "V2, V1" in message


def test_default_weights_are_the_first() -> None:
    backbone = make_backbone("acme/net")
    assert backbone.get_weights("DEFAULT") is TAGS[0]
    assert backbone.get_weights("V1") is TAGS[1]


def test_default_of_a_backbone_without_weights_is_an_error() -> None:
    with pytest.raises(NameNotFound, match="available: none"):
        make_backbone("acme/net", weights=()).get_weights("DEFAULT")


# Names that do not exist.


def test_similar_names_are_suggested_in_full() -> None:
    registry = make_registry({"torchvision": ["resnet18", "vgg16"], "timm": ["resnet18d"]})
    message = explain(registry, "resnt18")
    assert "no backbone 'resnt18'" in message
    assert "torchvision/resnet18" in message
    assert "vgg16" not in message


def test_suggestions_stay_within_the_given_namespace() -> None:
    registry = make_registry({"torchvision": ["resnet18"], "timm": ["resnet18"]})
    message = explain(registry, "timm/resnt18")
    assert "timm/resnet18" in message
    assert "torchvision/" not in message


def test_without_a_similar_name_the_error_mentions_zoo_list() -> None:
    assert "zoo list" in explain(make_registry({"acme": ["net"]}), "xyzzy")


def test_an_unknown_namespace_is_an_error_that_lists_the_known_ones() -> None:
    message = explain(make_registry({"acme": ["net"], "bolt": []}), "acmee/net")
    assert "no plugin 'acmee'" in message
    assert "acme, bolt" in message


@pytest.mark.parametrize(("namespace", "distribution"), FIRST_PARTY.items())
def test_a_missing_first_party_plugin_is_an_error_with_its_distribution(namespace: str, distribution: str) -> None:
    assert f"install {distribution}; " in explain(make_registry({}), f"{namespace}/net")


def test_an_unusable_plugin_is_an_error_with_its_state_and_reason() -> None:
    plugin = Plugin("acme", "zoo-acme", "1.0")
    plugin.fail("incompatible", "written for plugin API 9.")
    message = explain(Registry([plugin], RegistryToml()), "acme/net")
    assert "the plugin acme is incompatible: written for plugin API 9." in message


def test_the_namespace_ends_at_the_first_slash() -> None:
    message = explain(make_registry({"acme": ["net"]}), "acme/hub/net")
    assert "no plugin" not in message


def test_an_alias_of_an_unknown_name_is_an_error_with_the_target() -> None:
    assert "bolt/gone" in explain(make_registry({"bolt": ["net"]}, aliases={"short": "bolt/gone"}), "short")


# Arbitrary text.
NAMES = st.one_of(
    st.text(),
    st.text(alphabet="acmeboltnt/@._-18V*[", max_size=20),
    st.sampled_from(["acme/net", "net", "bolt/net@V1", "short", "timm/net", "acme/@", "/", "@", "broken/net", "gone"]),
)


@given(asked=NAMES, target=NAMES)
@settings(deadline=None)
def test_any_text_is_found_or_is_a_name_not_found(asked: str, target: str) -> None:
    broken = Plugin("broken", "zoo-broken", "1.0", state="broken", reason="it is.")
    plugins = [make_plugin("acme", ["net", "resnet18"]), make_plugin("bolt", ["net"]), make_plugin("timm"), broken]
    registry = Registry(plugins, RegistryToml(order=("timm",), aliases={"short": "bolt/net@V1", "gone": target}))
    resolved: Resolved | NameNotFound
    try:
        resolved = registry.resolve(asked)
    except NameNotFound as error:
        resolved = error
    if isinstance(resolved, NameNotFound):
        assert "\n" not in str(resolved)
    else:
        assert resolved.backbone in registry.list_backbones()


@pytest.mark.parametrize("asked", ["r1", "runs/r1", "./r1"])
def test_the_folder_of_a_run_is_an_error_with_the_path_of_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path(asked, "model.safetensors")
    model.parent.mkdir(parents=True)
    model.touch()
    with pytest.raises(NameNotFound, match=f"it is the folder of a run; .* --weights {asked}/model.safetensors`"):
        Registry([], RegistryToml()).resolve(asked)
