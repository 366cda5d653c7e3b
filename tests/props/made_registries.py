"""Plugins that are created in this process and loaded like installed plugins, and registries of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest

from zoo.errors import NameNotFound
from zoo.plugin import BackboneSpec, BlockSpec, WeightsSpec, hookimpl
from zoo.registry.plugins.load import Plugin, load_plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

TAGS = (WeightsSpec(tag="V2", url=None, license="MIT"), WeightsSpec(tag="V1", url=None, license="MIT"))


def make_backbone(name: str, **changes: Any) -> BackboneSpec:
    facts: dict[str, Any] = {
        "name": name,
        "family": "f",
        "build": print,
        "head": ("fc",),
        "blocks": (BlockSpec("b", ("b",)),),
        "params": 5,
        "license": "MIT",
        "weights": TAGS,
    }
    return BackboneSpec(**{**facts, **changes})


def make_plugin(namespace: str, backbones: Iterable[str | BackboneSpec] = (), **hooks: Callable[..., Any]) -> Plugin:
    """Load a plugin with these hooks that lists these backbones, which are given as specs or as names."""
    module = ModuleType(namespace)
    module.ZOO_API = 1  # type: ignore[attr-defined]
    listed = [make_backbone(f"{namespace}/{item}") if isinstance(item, str) else item for item in backbones]
    for name, function in {"zoo_backbones": lambda: listed, **hooks}.items():
        setattr(module, name, hookimpl(function))
    plugin = Plugin(namespace, f"zoo-{namespace}", "1.0")
    load_plugin(plugin, lambda: module)
    assert plugin.state == "ok", plugin.reason
    return plugin


def registry_of(spec: BackboneSpec, **hooks: Callable[..., Any]) -> Registry:
    """Return a registry with one plugin that lists this backbone and has these hooks."""
    return Registry([make_plugin(spec.name.partition("/")[0], [spec], **hooks)], RegistryToml())


def make_registry(listed: dict[str, list[str]], **settings: Any) -> Registry:
    """Return a registry of plugins, given the names of each plugin's backbones by namespace."""
    return Registry([make_plugin(namespace, names) for namespace, names in listed.items()], RegistryToml(**settings))


def resolve(registry: Registry, asked: str) -> str:
    return registry.resolve(asked).backbone.name


def explain(registry: Registry, asked: str) -> str:
    """Return the message of the error for a name that is not found."""
    with pytest.raises(NameNotFound) as caught:
        registry.resolve(asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)
