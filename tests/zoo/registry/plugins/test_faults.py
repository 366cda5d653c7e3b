"""Every fault that a plugin can have: all of them installed together, and each alone, next to one good plugin."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from installed_sites import LISTS, PREAMBLE, Site, hook
from zoo.registry.plugins.discovery import FIRST_PARTY
from zoo.registry.plugins.isolation import HEAVY
from zoo.registry.plugins.load import Plugin


class Fault(NamedTuple):
    source: str
    state: str
    #: Parts of the reason that ``zoo plugins`` must show.
    says: tuple[str, ...]


FAULTS = {
    "raises-at-import": Fault(
        "raise ValueError('first line\\nsecond')\n", "broken", ("ValueError: first line second",)
    ),
    "lacks-a-module": Fault("import not_there_at_all\n", "broken", ("ModuleNotFoundError", "not_there_at_all")),
    "has-a-syntax-error": Fault("def (:\n", "broken", ("SyntaxError",)),
    "raises-in-hook": Fault(hook("raise KeyError('lost')"), "broken", ("KeyError", "lost")),
    "exits-at-import": Fault("import sys\nsys.exit(3)\n", "broken", ("SystemExit", "3")),
    "exits-in-hook": Fault(hook("raise SystemExit"), "broken", ("SystemExit",)),
    "recurses": Fault(hook("return zoo_backbones()"), "broken", ("RecursionError",)),
    "misspells-a-hook": Fault(
        hook("return []", name="zoo_backbone"), "broken", ("zoo_backbone is not a hook", "zoo_backbones")
    ),
    "misspells-without-marker": Fault(
        LISTS + "def zoo_find_backbones(name):\n    pass\n", "broken", ("zoo_find_backbones is not a hook",)
    ),
    "marks-an-unknown-hook": Fault(hook("return []", name="backbones"), "broken", ("backbones is not a hook",)),
    "forgets-hookimpl": Fault(
        PREAMBLE + "def zoo_backbones():\n    return []\n", "broken", ("zoo_backbones is not marked", "@hookimpl")
    ),
    "has-a-wrong-signature": Fault(
        hook("return []", arguments="everything"), "broken", ("zoo_backbones", "everything")
    ),
    "lists-a-wrong-field": Fault(
        hook("return [spec('NAMESPACE/net', params='5M')]"), "broken", ("NAMESPACE/net", "params='5M'")
    ),
    "lacks-a-field": Fault(hook("return [BackboneSpec(name='NAMESPACE/net')]"), "broken", ("TypeError", "family")),
    "lists-names": Fault(hook("return ['NAMESPACE/net']"), "broken", ("'NAMESPACE/net'", "not a BackboneSpec")),
    "lists-a-text": Fault(hook("return 'NAMESPACE/net'"), "broken", ("not a BackboneSpec",)),
    "lists-data-sets-as-backbones": Fault(
        hook("return [DatasetSpec(name='NAMESPACE/d', description='d', license='MIT', make=print)]"),
        "broken",
        ("not a BackboneSpec",),
    ),
    "returns-a-number": Fault(hook("return 3"), "broken", ("zoo_backbones returns 3", "BackboneSpecs")),
    "forgets-to-return": Fault(hook("spec('NAMESPACE/net')"), "broken", ("zoo_backbones returns nothing",)),
    "forgets-to-return-data-sets": Fault(
        hook("pass", name="zoo_datasets"), "broken", ("zoo_datasets returns nothing", "DatasetSpecs")
    ),
    "lists-several-lines": Fault(
        hook("return [type('Row', (), {'__repr__': lambda self: 'a\\nb'})()]"), "broken", ("a b", "not a BackboneSpec")
    ),
    "forgets-zoo-api": Fault(LISTS + "del ZOO_API\n", "broken", ("ZOO_API is None", "must be 1 or 2")),
    "states-zoo-api-as-text": Fault(LISTS + "ZOO_API = '1'\n", "broken", ("ZOO_API is '1'", "must be 1 or 2")),
    "states-zoo-api-as-bool": Fault(LISTS + "ZOO_API = True\n", "broken", ("ZOO_API is True",)),
    "needs-a-newer-api": Fault(LISTS + "ZOO_API = 3\n", "incompatible", ("API 3", "accepts 1 and 2", "upgrade zoo")),
    "needs-an-older-api": Fault(LISTS + "ZOO_API = 0\n", "incompatible", ("API 0", "upgrade the plugin")),
    "lists-another-namespace": Fault(
        hook("return [spec('torchvision/vgg16')]"), "broken", ("torchvision/vgg16", "begin with NAMESPACE/")
    ),
    "lists-a-longer-namespace": Fault(hook("return [spec('NAMESPACEx/net')]"), "broken", ("begin with NAMESPACE/",)),
    "lists-foreign-data-sets": Fault(
        hook("return [DatasetSpec(name='pets', description='d', license='MIT', make=print)]", name="zoo_datasets"),
        "broken",
        ("pets", "begin with NAMESPACE/"),
    ),
}

#: Faults that show only in a process that has not yet imported these modules.
HEAVY_FAULTS = {
    **{
        f"imports-{name}": Fault(f"import {name}\n{LISTS}", "broken", (f"imports {name}", "build()"))
        for name in sorted(HEAVY)
    },
    "imports-torch-in-hook": Fault(hook("import torch.nn", "return []"), "broken", ("imports torch", "build()")),
    "hides-its-import": Fault(
        f"try:\n    import numpy\nexcept ImportError:\n    numpy = None\n{LISTS}", "broken", ("imports numpy",)
    ),
}


class Results(NamedTuple):
    listed: subprocess.CompletedProcess[str]
    shown: subprocess.CompletedProcess[str]
    helped: subprocess.CompletedProcess[str]
    plugins: dict[str, Any]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Run the commands with all faults installed together, next to one good plugin."""
    site = Site(tmp_path_factory.mktemp("crowd") / "site")
    for name, fault in {**FAULTS, **HEAVY_FAULTS}.items():
        site.add(name, fault.source)
    site.add("good")
    site.add("noisy", "print('noise')\n" + hook("print('more noise')", "return [spec('NAMESPACE/net')]"))
    site.add("twins", distribution="zoo-twin-one")
    site.add("twins", distribution="zoo-twin-two")
    site.add("timm", distribution="rival-timm")
    site.add("Upper", distribution="zoo-upper")
    return Results(site.run("list", "--json"), site.run("info", "good/net"), site.run("--help"), site.describe())


def test_list_shows_only_the_good_plugins_beside_every_fault(crowd: Results) -> None:
    assert crowd.listed.returncode == 0, crowd.listed.stderr
    names = {row["name"] for row in json.loads(crowd.listed.stdout)}
    third_party = {name for name in names if name.partition("/")[0] not in FIRST_PARTY}
    assert third_party == {"good/net", "noisy/net"}


def test_info_and_help_work_beside_every_fault(crowd: Results) -> None:
    assert crowd.shown.returncode == 0, crowd.shown.stderr
    assert "good/net" in crowd.shown.stdout
    assert crowd.helped.returncode == 0, crowd.helped.stderr
    assert "plugins" in crowd.helped.stdout


@pytest.mark.parametrize("name", [*FAULTS, *HEAVY_FAULTS])
def test_zoo_plugins_reports_the_fault(crowd: Results, name: str) -> None:
    fault = {**FAULTS, **HEAVY_FAULTS}[name]
    row = crowd.plugins[f"zoo-{name}"]
    assert row["state"] == fault.state
    assert row["version"] == "1.5"
    assert row["backbones"] == 0
    for part in fault.says:
        assert part.replace("NAMESPACE", name) in row["reason"]


@pytest.mark.parametrize("name", [*FAULTS, *HEAVY_FAULTS])
def test_zoo_list_names_each_unusable_plugin_on_one_line_of_stderr(crowd: Results, name: str) -> None:
    lines = [line for line in crowd.listed.stderr.splitlines() if line.startswith(f"warning: plugin {name} is ")]
    assert lines == [
        f"warning: plugin {name} is {crowd.plugins[f'zoo-{name}']['state']}: {crowd.plugins[f'zoo-{name}']['reason']}"
    ]


def test_zoo_plugins_shows_what_a_good_plugin_provides(crowd: Results) -> None:
    assert crowd.plugins["zoo-good"] == {
        "namespace": "good",
        "distribution": "zoo-good",
        "version": "1.5",
        "state": "ok",
        "reason": "",
        "backbones": 1,
        "datasets": [],
        "sources": [],
        "output": "",
    }


def test_zoo_plugins_shows_what_a_plugin_printed(crowd: Results) -> None:
    assert crowd.plugins["zoo-noisy"]["state"] == "ok"
    assert crowd.plugins["zoo-noisy"]["output"] == "noise\nmore noise\n"
    assert "noise" not in crowd.listed.stdout + crowd.listed.stderr


def test_two_third_party_plugins_with_the_same_namespace_are_both_refused(crowd: Results) -> None:
    for distribution in ("zoo-twin-one", "zoo-twin-two"):
        row = crowd.plugins[distribution]
        assert row["state"] == "conflict"
        assert "zoo-twin-one" in row["reason"]
        assert "zoo-twin-two" in row["reason"]


def test_a_first_party_namespace_is_refused_to_a_third_party_plugin(crowd: Results) -> None:
    assert crowd.plugins["rival-timm"]["state"] == "conflict"
    assert "belongs to zoo-timm" in crowd.plugins["rival-timm"]["reason"]


def test_a_namespace_in_upper_case_is_refused(crowd: Results) -> None:
    assert crowd.plugins["zoo-upper"]["state"] == "broken"
    assert "'Upper' is not a valid namespace" in crowd.plugins["zoo-upper"]["reason"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_plugin_alone_provides_nothing_and_does_not_affect_the_good_one(
    site: Site, load: Callable[[], dict[str, Plugin]], name: str
) -> None:
    site.add(name, FAULTS[name].source)
    plugins = load()
    bad, good = plugins[f"zoo-{name}"], plugins["zoo-good"]
    assert (bad.state, bad.backbones, bad.datasets, bad.hooks) == (FAULTS[name].state, (), (), None)
    assert "\n" not in bad.reason
    assert [spec.name for spec in good.backbones] == ["good/net"]


def test_loading_restores_the_process(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("crash", FAULTS["raises-in-hook"].source)
    before = (list(sys.meta_path), sys.stdout, sys.stderr)
    load()
    assert (list(sys.meta_path), sys.stdout, sys.stderr) == before


def test_details_contain_the_traceback_of_the_plugin(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("crash", FAULTS["raises-in-hook"].source)
    details = load()["zoo-crash"].details
    assert "Traceback" in details
    assert "plugin_zoo_crash.py" in details


def test_a_module_that_was_refused_can_be_imported_after_loading(site: Site) -> None:
    site.add("hides", HEAVY_FAULTS["hides-its-import"].source)
    code = (
        "from zoo.registry.plugins.discovery import discover_plugins\n"
        "print(*(plugin.state for plugin in discover_plugins() if plugin.namespace == 'hides'))\n"
        "import numpy\n"
        "print(numpy.zeros(2).sum())\n"
    )
    result = site.python("-c", code)
    assert result.stdout.split() == ["broken", "0.0"], result.stderr
