"""Hooks that are called after a plugin was loaded."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from installed_sites import Site, hook
from zoo.errors import PluginError
from zoo.registry.plugins.load import Plugin, call_hook, find_unlisted

UNLISTED = hook("print('looking')", "return spec(f'NAMESPACE/{name}')", name="zoo_find_backbone", arguments="name")


def test_find_unlisted_gets_the_name_without_the_namespace(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("wide", UNLISTED)
    plugins = load()
    found = find_unlisted(plugins["zoo-wide"], "any")
    assert found is not None
    assert found.name == "wide/any"
    assert find_unlisted(plugins["zoo-good"], "any") is None


def test_the_output_of_a_hook_goes_to_stderr(site: Site) -> None:
    site.add("wide", UNLISTED)
    result = site.run("info", "wide/any", "--json")
    assert json.loads(result.stdout)["name"] == "wide/any"
    assert "looking" in result.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise OSError('no network')", "OSError: no network"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("return 'net'", "not a BackboneSpec"),
        ("return [spec('NAMESPACE/net')]", "not a BackboneSpec"),
        ("return spec('torchvision/vgg16')", "begin with wide/"),
    ],
)
def test_a_failing_lookup_does_not_affect_other_lookups(
    site: Site, load: Callable[[], dict[str, Plugin]], line: str, says: str
) -> None:
    lines = (f"if name == 'bad': {line}", "return spec(f'NAMESPACE/{name}')")
    site.add("wide", hook(*lines, name="zoo_find_backbone", arguments="name"))
    plugin = load()["zoo-wide"]
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            find_unlisted(plugin, "bad")
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert plugin.state == "ok"
    found = find_unlisted(plugin, "good")
    assert found is not None
    assert found.name == "wide/good"


@pytest.mark.parametrize("line", ["raise OSError('no network')", "return 'net'", "return spec('torchvision/vgg16')"])
def test_the_error_of_a_failing_lookup_names_the_plugin_and_the_hook(site: Site, line: str) -> None:
    site.add("wide", hook(line, name="zoo_find_backbone", arguments="name"))
    result = site.run("info", "wide/any")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "plugin wide" in result.stderr
    assert "zoo_find_backbone" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["1 / 0", "raise SystemExit(3)", "raise BaseException('why')"])
def test_a_failing_hook_raises_and_can_be_called_again(
    site: Site, load: Callable[[], dict[str, Plugin]], line: str
) -> None:
    source = hook("zoo_epoch_ended.calls += 1", line, name="zoo_epoch_ended")
    site.add("again", source + "zoo_epoch_ended.calls = 0\n")
    plugin = load()["zoo-again"]
    for _ in range(2):
        with pytest.raises(PluginError, match=r"^plugin again failed in zoo_epoch_ended: "):
            call_hook(plugin, "zoo_epoch_ended", run={}, epoch={})
    assert sys.modules["plugin_zoo_again"].zoo_epoch_ended.calls == 2
    assert plugin.state == "ok"


def test_the_hooks_of_an_unusable_plugin_return_nothing() -> None:
    plugin = Plugin("off", "zoo-off", "1.0")
    plugin.fail("disabled", "switched off.")
    assert call_hook(plugin, "zoo_run_started", run={}) == []
    assert find_unlisted(plugin, "net") is None


def test_ctrl_c_in_a_hook_stops_zoo(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("slow", hook("raise KeyboardInterrupt", name="zoo_run_started"))
    with pytest.raises(KeyboardInterrupt):
        call_hook(load()["zoo-slow"], "zoo_run_started", run={})
