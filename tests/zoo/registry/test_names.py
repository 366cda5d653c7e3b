from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_registries import TAGS, explain, make_backbone, make_plugin, make_registry, resolve
from zoo.errors import NameNotFound
from zoo.registry.discovery import FIRST_PARTY
from zoo.registry.load_plugin import Plugin
from zoo.registry.registry import Registry, Resolved
from zoo.registry.registry_toml import RegistryToml

# Which of several wins.


def test_a_qualified_name_is_that_backbone() -> None:
    registry = make_registry({"torchvision": ["net"], "acme": ["net"]}, order=("torchvision",))
    assert resolve(registry, "acme/net") == "acme/net"


def test_an_alias_wins_over_a_bare_name() -> None:
    registry = make_registry({"torchvision": ["net", "other"]}, aliases={"net": "torchvision/other"})
    assert resolve(registry, "net") == "torchvision/other"


def test_an_alias_may_name_weights_and_may_be_a_bare_name() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"old": "acme/net@V1", "new": "net"})
    assert registry.resolve("old").tag == "V1"
    assert resolve(registry, "new") == "acme/net"


def test_an_alias_never_takes_an_exact_name_over() -> None:
    registry = make_registry({"torchvision": ["net"], "acme": ["net"]}, aliases={"torchvision/net": "acme/net"})
    assert resolve(registry, "torchvision/net") == "torchvision/net"


def test_weights_may_be_named_behind_an_alias() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"short": "acme/net"})
    assert registry.resolve("short@V1").tag == "V1"
    assert registry.resolve("short").tag is None


def test_weights_that_are_named_win_over_those_of_the_alias() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"old": "acme/net@V1"})
    resolved = registry.resolve("old@V2")
    assert (resolved.tag, resolved.name) == ("V2", "acme/net@V2")


def test_weights_that_the_alias_names_and_that_do_not_exist_are_an_error() -> None:
    message = explain(make_registry({"acme": ["net"]}, aliases={"old": "acme/net@V9"}), "old")
    assert "acme/net has no weights 'V9'" in message


def test_an_alias_wins_over_the_order() -> None:
    names = {"torchvision": ["net"], "timm": ["net"]}
    registry = make_registry(names, order=("torchvision", "timm"), aliases={"net": "timm/net"})
    assert resolve(registry, "net") == "timm/net"


def test_an_alias_may_stand_for_a_backbone_that_is_not_listed() -> None:
    plugin = make_plugin("acme", zoo_find_backbone=lambda name: make_backbone(f"acme/{name}"))
    assert resolve(Registry([plugin], RegistryToml(aliases={"short": "acme/hidden"})), "short") == "acme/hidden"


def test_an_alias_is_followed_once() -> None:
    registry = make_registry({"acme": ["net"]}, aliases={"a": "b", "b": "acme/net", "c": "c"})
    assert "no backbone 'a (alias of b)'" in explain(registry, "a")
    assert "no backbone 'c'" in explain(registry, "c")


@pytest.mark.parametrize(
    ("order", "winner"), [(("timm", "torchvision"), "timm"), (("torchvision", "timm"), "torchvision")]
)
def test_order_decides_between_two_that_have_the_name(order: tuple[str, ...], winner: str) -> None:
    registry = make_registry({"torchvision": ["net"], "timm": ["net"]}, order=order)
    assert resolve(registry, "net") == f"{winner}/net"


def test_order_decides_between_two_strangers() -> None:
    registry = make_registry({"acme": ["net"], "bolt": ["net"]}, order=("bolt", "acme"))
    assert resolve(registry, "net") == "bolt/net"


def test_without_an_order_the_first_party_plugins_have_one() -> None:
    registry = make_registry({"timm": ["net"], "torchvision": ["net"]})
    assert resolve(registry, "net") == f"{next(iter(FIRST_PARTY))}/net"


@pytest.mark.parametrize("first_party", FIRST_PARTY)
def test_a_stranger_never_wins_a_bare_name_that_a_first_party_plugin_has(first_party: str) -> None:
    registry = make_registry({"acme": ["net"], first_party: ["net"]}, order=("acme",))
    assert resolve(registry, "net") == f"{first_party}/net"


def test_a_stranger_in_the_order_wins_where_no_first_party_plugin_has_the_name() -> None:
    registry = make_registry({"acme": ["net"], "timm": ["other"]}, order=("acme", "timm"))
    assert resolve(registry, "net") == "acme/net"


def test_a_name_that_only_one_has_needs_no_namespace() -> None:
    registry = make_registry({"acme": ["net"], "timm": ["other"]}, order=("timm",))
    assert resolve(registry, "net") == "acme/net"


def test_a_name_of_several_strangers_is_an_error_that_lists_them() -> None:
    registry = make_registry({"acme": ["net"], "bolt": ["net"]})
    message = explain(registry, "net")
    assert "'net' is ambiguous" in message
    assert "acme/net, bolt/net" in message


# Weights.


def test_a_tag_is_kept_and_default_is_allowed() -> None:
    registry = make_registry({"acme": ["net"]})
    assert registry.resolve("net@V1").tag == "V1"
    assert registry.resolve("acme/net@DEFAULT").tag == "DEFAULT"
    assert registry.resolve("acme/net").tag is None


def test_a_tag_that_does_not_exist_is_an_error_that_lists_those_that_do() -> None:
    message = explain(make_registry({"acme": ["net"]}), "net@V3")
    assert "acme/net has no weights 'V3'" in message
    assert "V2, V1" in message


def test_default_weights_are_the_first() -> None:
    backbone = make_backbone("acme/net")
    assert backbone.get_weights("DEFAULT") is TAGS[0]
    assert backbone.get_weights("V1") is TAGS[1]


def test_default_of_a_backbone_without_weights_is_an_error() -> None:
    with pytest.raises(NameNotFound, match="none are published"):
        make_backbone("acme/net", weights=()).get_weights("DEFAULT")


# What is said of names that are not there.


def test_near_names_are_suggested_in_full() -> None:
    registry = make_registry({"torchvision": ["resnet18", "vgg16"], "timm": ["resnet18d"]})
    message = explain(registry, "resnt18")
    assert "no backbone 'resnt18'" in message
    assert "torchvision/resnet18" in message
    assert "vgg16" not in message


def test_near_names_stay_within_the_namespace_that_was_asked() -> None:
    registry = make_registry({"torchvision": ["resnet18"], "timm": ["resnet18"]})
    message = explain(registry, "timm/resnt18")
    assert "timm/resnet18" in message
    assert "torchvision/" not in message


def test_without_a_near_name_the_command_that_shows_all_is_named() -> None:
    assert "zoo list" in explain(make_registry({"acme": ["net"]}), "xyzzy")


def test_of_an_unknown_namespace_the_known_ones_are_listed() -> None:
    message = explain(make_registry({"acme": ["net"], "bolt": []}), "acmee/net")
    assert "no plugin 'acmee'" in message
    assert "acme, bolt" in message


@pytest.mark.parametrize(("namespace", "distribution"), FIRST_PARTY.items())
def test_of_a_first_party_plugin_that_is_not_installed_the_remedy_is_named(namespace: str, distribution: str) -> None:
    assert f"its plugin is {distribution}" in explain(make_registry({}), f"{namespace}/net")


def test_of_an_unusable_plugin_the_state_and_reason_are_named() -> None:
    plugin = Plugin("acme", "zoo-acme", "1.0")
    plugin.fail("incompatible", "written for plugin API 9.")
    message = explain(Registry([plugin], RegistryToml()), "acme/net")
    assert "the plugin acme is incompatible: written for plugin API 9." in message


def test_a_name_with_more_slashes_belongs_to_the_namespace_before_the_first() -> None:
    message = explain(make_registry({"acme": ["net"]}), "acme/hub/net")
    assert "no plugin" not in message


def test_of_an_alias_that_leads_nowhere_the_target_is_named() -> None:
    assert "bolt/gone" in explain(make_registry({"bolt": ["net"]}, aliases={"short": "bolt/gone"}), "short")


# Any text.
NAMES = st.one_of(
    st.text(),
    st.text(alphabet="acmeboltnt/@._-18V*[", max_size=20),
    st.sampled_from(["acme/net", "net", "bolt/net@V1", "short", "timm/net", "acme/@", "/", "@", "broken/net", "gone"]),
)


@given(asked=NAMES, target=NAMES)
@settings(deadline=None)
def test_any_text_is_resolved_or_not_found(asked: str, target: str) -> None:
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
