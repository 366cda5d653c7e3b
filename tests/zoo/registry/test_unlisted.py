"""Backbones that no plugin lists, and that the plugin of their namespace finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from made_registries import explain, make_backbone, make_plugin, resolve
from zoo.errors import PluginError
from zoo.plugin import BackboneSpec
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


def test_only_the_plugin_of_the_namespace_is_asked_for_unlisted_names() -> None:
    asked: list[str] = []

    def finder(namespace: str) -> Callable[..., Any]:
        def find(name: str) -> BackboneSpec | None:
            asked.append(f"{namespace}/{name}")
            return make_backbone(f"{namespace}/{name}") if name == "hidden" else None

        return find

    plugins = [make_plugin(namespace, ["net"], zoo_find_backbone=finder(namespace)) for namespace in ("acme", "bolt")]
    registry = Registry(plugins, RegistryToml())
    assert resolve(registry, "bolt/hidden") == "bolt/hidden"
    assert resolve(registry, "acme/net") == "acme/net"
    assert "did you mean acme/net" in explain(registry, "acme/nett")
    assert "no backbone 'hidden'" in explain(registry, "hidden")
    assert asked == ["bolt/hidden", "acme/nett"]


def test_a_plugin_is_asked_for_the_name_without_the_tag() -> None:
    plugin = make_plugin("acme", zoo_find_backbone=lambda name: make_backbone(f"acme/{name}"))
    resolved = Registry([plugin], RegistryToml()).resolve("acme/hidden@V1")
    assert (resolved.backbone.name, resolved.tag) == ("acme/hidden", "V1")


def test_a_failing_lookup_names_the_plugin_and_the_reason_and_can_be_repeated() -> None:
    def find(name: str) -> BackboneSpec:
        if name == "hidden":
            raise OSError(f"no network for {name}")
        return make_backbone(f"acme/{name}")

    plugin = make_plugin("acme", ["net"], zoo_find_backbone=find)
    registry = Registry([plugin], RegistryToml())
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            registry.resolve("acme/hidden@V1")
        assert str(caught.value) == "plugin acme failed in zoo_find_backbone: OSError: no network for hidden"
    assert plugin.state == "ok"
    assert resolve(registry, "acme/other") == "acme/other"
    assert resolve(registry, "net") == "acme/net"


def test_a_plugin_that_failed_on_an_event_is_still_asked_for_backbones() -> None:
    def fail() -> None:
        raise ValueError

    plugin = make_plugin("acme", zoo_run_started=fail, zoo_find_backbone=lambda name: make_backbone(f"acme/{name}"))
    registry = Registry([plugin], RegistryToml())
    assert len(registry.announce("zoo_run_started", run={})) == 1
    assert resolve(registry, "acme/hidden") == "acme/hidden"
