"""The place in the plugin's or upstream's code that a failed check is about."""

from __future__ import annotations

from zoo.plugin import BackboneSpec
from zoo.registry.plugins.place import find_place
from zoo.testing.plugin_under_test import PluginUnderTest
from zoo.testing.promises import Check
from zoo.testing.results.place import find_function

#: Checks of what a spec declares as data: the place is that of the spec.
_OF_SPEC = (
    "build.params", "build.fixed", "build.upstream", "input.", "head.found", "head.mlp", "weights.", "blocks.",
    "can.channels",
)  # fmt: skip
#: Fields of a spec that may contain the function that one of these checks, or of these groups, is about.
_FIELDS = {
    "build.fixed": "fixed", "input": "preprocessing", "head": "head", "blocks": "blocks",
    "weights.converted": "convert", "weights.fit": "convert",
}  # fmt: skip

#: The hook that each check of a plugin is about.
_HOOKS = {
    "plugin.light": "zoo_backbones", "plugin.quiet": "zoo_backbones", "plugin.listed": "zoo_backbones",
    "plugin.names": "zoo_backbones", "plugin.datasets": "zoo_datasets", "plugin.drawn": "zoo_datasets",
    "plugin.sources": "zoo_data_sources",
}  # fmt: skip
#: Checks of a plugin that are not about its code.
_OF_DISTRIBUTION = ("plugin.requirements", "plugin.namespace")


def find_place_of(failure: BaseException, check: Check, plugin: PluginUnderTest, under_test: object) -> str:
    """Return the file and line of the plugin's or upstream's code that a failed check is about.

    This is the place that the failure or its cause names. Otherwise, it is the function that the check is about, such
    as ``build`` or the model's ``forward``, or the line that created the spec.

    Args:
        failure: The failure.
        check: The check that failed.
        plugin: The plugin.
        under_test: What the check received: the plugin, a declaration or a backbone.
    """
    spec = getattr(under_test, "spec", None)
    place: str = getattr(failure, "place", "")
    if check.level == "static" and isinstance(spec, BackboneSpec):
        return place or plugin.made.find_place(spec)
    place = place or find_place(failure.__cause__ or failure)
    if not isinstance(spec, BackboneSpec):
        return place or _find_hook(failure, check, plugin)
    if place:
        return place
    return _find_function(check, spec, under_test) or plugin.made.find_place(spec)


def _find_hook(failure: BaseException, check: Check, plugin: PluginUnderTest) -> str:
    """Return the place of the hook that a check of a plugin is about, or of the plugin's module."""
    if plugin.module is None or check.name in _OF_DISTRIBUTION:
        return ""
    named = str(failure).partition(" ")[0]  # A message about a hook begins with its name.
    names = (named, _HOOKS.get(check.name, ""))
    places = (find_function(hook) for name in names if callable(hook := getattr(plugin.module, name, None)))
    return next(filter(None, places), f"{plugin.module.__file__}:1")


def _find_function(check: Check, spec: BackboneSpec, under_test: object) -> str:
    """Return the place of the function that a check is about, or an empty string if it is about data."""
    group = check.name.partition(".")[0]
    if check.name.startswith(_OF_SPEC):
        declared = getattr(spec, _FIELDS.get(check.name) or _FIELDS.get(group, ""), None)
        return find_function(declared) if callable(declared) else ""
    # The model is not built only to find its place.
    model, _ = vars(under_test).get("building", (None, None))
    forward = "" if model is None or group == "build" else find_function(model.forward)
    return forward or find_function(spec.build)
