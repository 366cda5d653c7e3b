from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from zoo.errors import NameNotFound, PluginError
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.testing.plugin_under_test import examine
from zoo.testing.results.result import Result
from zoo.testing.runner import Scope, check_backbone, check_plugin

LISTS_NOTHING = "from zoo.plugin import BackboneSpec, hookimpl\nZOO_API = 1\n"


def hook(line: str, name: str = "zoo_backbones", arguments: str = "") -> str:
    """Return the source of a module with one hook, whose body is the line."""
    return f"{LISTS_NOTHING}@hookimpl\ndef {name}({arguments}):\n    {line}\n"


#: For each fault: the source of a module, the check that reports the fault, and a part of its message.
FAULTY = {
    "raises": ("raise ValueError('why')", "plugin.listed", "ValueError: why"),
    "exits": ("raise SystemExit(3)", "plugin.listed", "SystemExit: 3"),
    "lacks-a-module": ("import nowhere_at_all", "plugin.listed", "nowhere_at_all"),
    "forgets-zoo-api": ("", "plugin.api", "its ZOO_API is None; it must be 1 or 2"),
    "needs-a-newer-zoo": ("ZOO_API = 3", "plugin.api", "upgrade zoo"),
    "misspells-a-hook": (hook("return []", "zoo_backbone"), "plugin.hooks", "zoo_backbone is not a hook"),
    "forgets-the-marker": (f"{LISTS_NOTHING}def zoo_datasets(): return []", "plugin.hooks", "put @hookimpl above it"),
    "wants-another-argument": (hook("return []", arguments="everything"), "plugin.hooks", "everything"),
    "raises-in-a-hook": (hook("raise OSError('disk')"), "plugin.listed", "OSError: disk"),
    "returns-a-number": (hook("return 3"), "plugin.listed", "zoo_backbones returns 3; it must return BackboneSpecs"),
    "forgets-to-return": (hook("[]"), "plugin.listed", "zoo_backbones returns nothing"),
    "forgets-to-return-data-sets": (hook("[]", "zoo_datasets"), "plugin.listed", "zoo_datasets returns nothing"),
    "lists-names": (hook("return ['acme/net']"), "plugin.listed", "'acme/net', which is not a BackboneSpec"),
    "lacks-a-field": (hook("return [BackboneSpec(name='acme/net')]"), "plugin.listed", "family"),
}


def name_bad(results: Iterable[Result]) -> set[str]:
    """Return the names of the checks that failed."""
    return {result.check for result in results if result.status in ("fail", "error")}


def test_a_good_plugin_has_no_faults(shelf: Any) -> None:
    shelf.add("acme", "spec()", "spec('acme/other')", end="@hookimpl\ndef zoo_datasets():\n    return [photos()]")
    plugin = examine("acme")
    assert (plugin.namespace, plugin.distribution, plugin.claimants) == ("acme", "zoo-acme", ("zoo-acme",))
    assert plugin.faults == {}
    assert [backbone.name for backbone in plugin.backbones] == ["acme/net", "acme/other"]
    assert [dataset.name for dataset in plugin.datasets] == ["acme/d"]


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_recorded_for_its_check(shelf: Any, name: str) -> None:
    source, check, message = FAULTY[name]
    shelf.add_module("acme", source)
    plugin = examine("acme")
    assert plugin.faults.keys() == {check}
    assert message in plugin.faults[check]
    assert plugin.backbones == ()
    # If the import fails, plugin.imported reports it, and the other check does not run.
    assert name_bad(check_plugin(plugin, Scope("static"))) in ({check}, {"plugin.imported"})


def test_an_entry_point_to_something_other_than_a_module_is_a_fault(shelf: Any) -> None:
    shelf.add("acme", end="plugin = object()")
    entries = shelf.folder / "zoo_acme-1.5.dist-info" / "entry_points.txt"
    entries.write_text("[zoo]\nacme = kit_zoo_acme:plugin\n")
    assert "object; it must be a module" in examine("acme").faults["plugin.listed"]


@pytest.mark.parametrize("twins", [("spec()", "spec('acme/Net')"), ("spec()", "spec()"), ("SPEC", "SPEC")])
def test_a_duplicate_name_is_a_fault_and_the_first_backbone_is_kept(shelf: Any, twins: tuple[str, str]) -> None:
    shelf.add("acme", *twins, "spec('acme/other')", end="SPEC = spec()")
    plugin = examine("acme")
    assert plugin.faults.keys() == {"plugin.names"}
    assert [backbone.name for backbone in plugin.backbones] == ["acme/net", "acme/other"]
    assert name_bad(check_plugin(plugin, Scope("static"))) == {"plugin.names"}


@pytest.mark.parametrize("name", ["None", "3", "['acme/net']"])
def test_a_name_that_is_not_a_string_is_a_fault_and_the_other_backbones_are_kept(shelf: Any, name: str) -> None:
    shelf.add("acme", f"spec({name})", "spec()")
    plugin = examine("acme")
    assert f"name={name}" in plugin.faults["plugin.listed"]
    assert [backbone.name for backbone in plugin.backbones] == ["acme/net"]


def test_all_faults_of_a_backbone_are_reported(shelf: Any) -> None:
    wrong_input = "InputSpec(**{**INPUT, 'resize': 0, 'crop': 'middle'})"
    shelf.add(
        "acme",
        f"spec('other/net', params='5M', license='unknown', input={wrong_input}, weights=(published(url=None),), "
        "supports=('fp8',))",
    )
    plugin = examine("acme")
    assert plugin.faults == {}
    results = check_backbone(plugin, plugin.backbones[0], Scope("static"))
    static = {"spec.name", "spec.fields", "spec.input", "spec.weights", "spec.license", "spec.capabilities"}
    assert name_bad(results) == static


def test_the_faults_of_one_backbone_do_not_affect_the_others(shelf: Any) -> None:
    shelf.add("acme", "spec('acme/bad', params=0)", "spec()")
    plugin = examine("acme")
    bad, good = (check_backbone(plugin, backbone, Scope("static")) for backbone in plugin.backbones)
    assert (name_bad(bad), name_bad(good)) == ({"spec.fields"}, set())


def test_faults_of_the_plugin_and_of_its_backbones_are_reported_together(shelf: Any) -> None:
    end = "@hookimpl\ndef zoo_datasets():\n    print('noise')\n    return [photos(name='other/d')]"
    shelf.add("acme", "spec(params=0)", "spec('acme/NET')", end=end, distribution="zoo-bolts")
    plugin = examine("acme")
    found = name_bad(check_plugin(plugin, Scope("static")))
    assert found == {"plugin.quiet", "plugin.namespace", "plugin.names", "plugin.datasets"}
    assert name_bad(check_backbone(plugin, plugin.backbones[0], Scope("static"))) == {"spec.fields"}


def test_specs_are_checked_normally_after_a_plugin_is_examined(shelf: Any) -> None:
    for namespace, top in (("acme", ""), ("bolts", "raise ValueError")):
        shelf.add(namespace, "spec(params=0)", top=top)
        examine(namespace)
        with pytest.raises(PluginError, match="prefixes"):
            BlockSpec("stem", ())


def test_a_plugin_prints_nothing_while_it_is_examined(shelf: Any, capfd: pytest.CaptureFixture[str]) -> None:
    shelf.add("acme", top="print('noise')")
    examine("acme")
    assert capfd.readouterr() == ("", "")


def test_the_rightful_claimant_of_a_first_party_namespace_is_examined(shelf: Any) -> None:
    shelf.add("tiny", distribution="a-rival")
    shelf.add("tiny", distribution="zoo-tiny")
    plugin = examine("tiny")
    assert plugin.distribution == "zoo-tiny"
    assert sorted(plugin.claimants) == ["a-rival", "zoo-tiny"]
    assert "plugin.namespace" in name_bad(check_plugin(plugin, Scope("static", "plugin.namespace")))


def test_an_unknown_namespace_is_an_error_that_lists_the_known_ones(shelf: Any) -> None:
    shelf.add("acme")
    with pytest.raises(NameNotFound, match=r"no plugin 'acmee' is installed; installed: .*\bacme\b"):
        examine("acmee")


def test_an_unknown_backbone_is_an_error_that_says_how_to_list_all(shelf: Any) -> None:
    shelf.add("acme")
    plugin = examine("acme")
    assert plugin.get_backbone("acme/net") is plugin.backbones[0]
    with pytest.raises(NameNotFound, match=r"acme lists no backbone 'acme/other'; `zoo list acme/\*` shows all"):
        plugin.get_backbone("acme/other")


@pytest.mark.parametrize(
    ("top", "reason"),
    [
        ("raise ValueError('unlucky')\n", r"ValueError: unlucky \(.*:1\)"),
        ("import no_such_module\n", r"ModuleNotFoundError: No module named 'no_such_module'"),
        ("import os\nos._exit(3)\n", r"it ends the process with exit code 3"),
    ],
)
def test_a_backbone_of_a_plugin_that_cannot_be_loaded_is_an_error_with_the_reason(
    shelf: Any, top: str, reason: str
) -> None:
    shelf.add("acme", top=top)
    with pytest.raises(PluginError, match=rf"the plugin acme cannot be loaded: {reason}"):
        examine("acme").get_backbone("acme/net")


def find(shelf: Any, line: str) -> BackboneSpec:
    """Find the unlisted backbone acme/net.v2 in a plugin whose hook has this line."""
    shelf.add("acme", end=f"@hookimpl\ndef zoo_find_backbone(name):\n    {line}\n")
    return examine("acme").get_backbone("acme/net.v2")


def test_an_unlisted_backbone_has_the_requested_name(shelf: Any) -> None:
    found = find(shelf, "return spec('acme/net', family=name)")
    assert (found.name, found.family) == ("acme/net.v2", "net.v2")


def test_all_faults_of_an_unlisted_backbone_are_reported(shelf: Any) -> None:
    found = find(shelf, "return spec('acme/net', params=0, license='unknown')")
    assert name_bad(check_backbone(examine("acme"), found, Scope("static"))) == {"spec.fields", "spec.license"}
    with pytest.raises(PluginError, match="prefixes"):
        BlockSpec("stem", ())


def test_a_backbone_that_the_plugin_does_not_find_is_an_error(shelf: Any) -> None:
    with pytest.raises(NameNotFound, match=r"acme lists no backbone 'acme/net.v2'; `zoo list acme/\*` shows all"):
        find(shelf, "return None")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise OSError('disk')", "OSError: disk"),
        ("return 'acme/net'", "it returns 'acme/net', which is not a BackboneSpec"),
        ("return spec('other/net')", "it returns 'other/net'; its names must begin with acme/"),
        ("return spec(None)", "it returns None; its names must begin with acme/"),
    ],
)
def test_an_exception_while_a_backbone_is_looked_up_is_an_error_that_names_the_hook(
    shelf: Any, line: str, message: str
) -> None:
    with pytest.raises(PluginError, match=f"plugin acme failed in zoo_find_backbone: {message}"):
        find(shelf, line)
