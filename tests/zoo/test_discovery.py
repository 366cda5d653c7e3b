"""Plugins are real distributions here: a dist-info folder and a module on sys.path, as pip would leave them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from zoo.containment import HEAVY
from zoo.discovery import FIRST_PARTY, discover_plugins, find_claims
from zoo.errors import NameNotFound, PluginError
from zoo.loading import Plugin, call_hook, find_unlisted, judge_version, refuse_misspelt_hooks
from zoo.switches import list_unknown_names

PREAMBLE = """
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec, hookimpl

ZOO_API = 1


def spec(name, **changes):
    facts = dict(name=name, family="f", build=print, head=("fc",), blocks=(BlockSpec("b", ("b",)),))
    return BackboneSpec(**{**facts, "params": 5, "licence": "MIT", **changes})


"""

#: Lists NAMESPACE/net.
LISTS = PREAMBLE + "@hookimpl\ndef zoo_backbones():\n    return [spec('NAMESPACE/net')]\n"


def hook(*lines: str, name: str = "zoo_backbones", arguments: str = "") -> str:
    """Return the source of a module with one hook, whose body is the lines."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"{PREAMBLE}@hookimpl\ndef {name}({arguments}):\n{body}"


class Fault(NamedTuple):
    source: str
    state: str
    #: Parts of the reason that ``zoo plugins`` shows.
    says: tuple[str, ...]


FAULTS = {
    "raises-at-import": Fault(
        "raise ValueError('first line\\nsecond')\n", "broken", ("ValueError: first line second",)
    ),
    "lacks-a-module": Fault("import not_there_at_all\n", "broken", ("ModuleNotFoundError", "not_there_at_all")),
    "is-no-python": Fault("def (:\n", "broken", ("SyntaxError",)),
    "raises-in-hook": Fault(hook("raise KeyError('lost')"), "broken", ("KeyError", "lost")),
    "raises-midway": Fault(hook("yield spec('NAMESPACE/a')", "raise OSError('disk')"), "broken", ("OSError: disk",)),
    "exits-at-import": Fault("import sys\nsys.exit(3)\n", "broken", ("SystemExit", "3")),
    "exits-in-hook": Fault(hook("raise SystemExit"), "broken", ("SystemExit",)),
    "recurses": Fault(hook("return zoo_backbones()"), "broken", ("RecursionError",)),
    "misspells-a-hook": Fault(
        hook("return []", name="zoo_backbone"), "broken", ("zoo_backbone is no hook", "zoo_backbones")
    ),
    "misspells-without-marker": Fault(
        LISTS + "def zoo_find_backbones(name):\n    pass\n", "broken", ("zoo_find_backbones is no hook",)
    ),
    "marks-what-is-no-hook": Fault(hook("return []", name="backbones"), "broken", ("backbones is no hook",)),
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
    "lists-names": Fault(hook("return ['NAMESPACE/net']"), "broken", ("'NAMESPACE/net'", "no BackboneSpec")),
    "lists-a-text": Fault(hook("return 'NAMESPACE/net'"), "broken", ("no BackboneSpec",)),
    "lists-data-sets-as-backbones": Fault(
        hook("return [DatasetSpec(name='NAMESPACE/d', description='d', licence='MIT', make=print)]"),
        "broken",
        ("no BackboneSpec",),
    ),
    "returns-no-list": Fault(hook("return 3"), "broken", ("zoo_backbones returns 3", "BackboneSpecs")),
    "forgets-to-return": Fault(hook("spec('NAMESPACE/net')"), "broken", ("zoo_backbones returns nothing",)),
    "forgets-to-return-data-sets": Fault(
        hook("pass", name="zoo_datasets"), "broken", ("zoo_datasets returns nothing", "DatasetSpecs")
    ),
    "lists-several-lines": Fault(
        hook("return [type('Row', (), {'__repr__': lambda self: 'a\\nb'})()]"), "broken", ("a b", "no BackboneSpec")
    ),
    "forgets-zoo-api": Fault(LISTS + "del ZOO_API\n", "broken", ("ZOO_API = None", "ZOO_API = 1")),
    "states-zoo-api-as-text": Fault(LISTS + "ZOO_API = '1'\n", "broken", ("ZOO_API = '1'", "ZOO_API = 1")),
    "states-zoo-api-as-bool": Fault(LISTS + "ZOO_API = True\n", "broken", ("ZOO_API = True",)),
    "needs-a-newer-api": Fault(LISTS + "ZOO_API = 2\n", "incompatible", ("API 2", "speaks 1", "upgrade zoo")),
    "needs-an-older-api": Fault(LISTS + "ZOO_API = 0\n", "incompatible", ("API 0", "upgrade the plugin")),
    "lists-another-namespace": Fault(
        hook("return [spec('torchvision/vgg16')]"), "broken", ("torchvision/vgg16", "begin with NAMESPACE/")
    ),
    "lists-a-longer-namespace": Fault(hook("return [spec('NAMESPACEx/net')]"), "broken", ("begin with NAMESPACE/",)),
    "lists-twice": Fault(
        hook("return [spec('NAMESPACE/a'), spec('NAMESPACE/b'), spec('NAMESPACE/a')]"),
        "broken",
        ("NAMESPACE/a more than once",),
    ),
    "lists-foreign-data-sets": Fault(
        hook("return [DatasetSpec(name='pets', description='d', licence='MIT', make=print)]", name="zoo_datasets"),
        "broken",
        ("pets", "begin with NAMESPACE/"),
    ),
}

#: What may be done only in a process that has not yet imported these.
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


@dataclass
class Site:
    """A folder of installed distributions."""

    folder: Path

    def add(
        self, namespace: str, source: str = LISTS, *, distribution: str | None = None, entry_points: str | None = None
    ) -> None:
        distribution = distribution or f"zoo-{namespace}"
        module = f"plugin_{distribution}".replace("-", "_").replace(".", "_").lower()
        info = self.info(distribution)
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(entry_points or f"[zoo]\n{namespace} = {module}\n")
        (self.folder / f"{module}.py").write_text(source.replace("NAMESPACE", namespace))

    def info(self, distribution: str) -> Path:
        return self.folder / f"{distribution.replace('-', '_')}-1.5.dist-info"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "zoo", *arguments, **environment)

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, *arguments],
            env={**clean, "PYTHONPATH": path, "XDG_CONFIG_HOME": str(self.folder), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def list_names(self, **environment: str) -> list[str]:
        result = self.run("list", "--json", **environment)
        assert result.returncode == 0, result.stderr
        return [row["name"] for row in json.loads(result.stdout)]

    def describe(self, **environment: str) -> dict[str, Any]:
        """Return what ``zoo plugins --json`` says, by distribution."""
        result = self.run("plugins", "--json", **environment)
        assert result.returncode == 0, result.stderr
        return {row["distribution"]: row for row in json.loads(result.stdout)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    site.add("good")
    return site


@pytest.fixture
def load(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, Plugin]]]:
    """Load the plugins of the site in this process, by distribution."""
    monkeypatch.syspath_prepend(str(site.folder))
    yield lambda: {plugin.distribution: plugin for plugin in discover_plugins()}
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


class Answers(NamedTuple):
    listed: subprocess.CompletedProcess[str]
    shown: subprocess.CompletedProcess[str]
    helped: subprocess.CompletedProcess[str]
    plugins: dict[str, Any]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What the commands say where every fault is installed at once, beside one good plugin."""
    site = Site(tmp_path_factory.mktemp("crowd") / "site")
    for name, fault in {**FAULTS, **HEAVY_FAULTS}.items():
        site.add(name, fault.source)
    site.add("good")
    site.add("noisy", "print('noise')\n" + hook("print('more noise')", "return [spec('NAMESPACE/net')]"))
    site.add("twins", distribution="zoo-twin-one")
    site.add("twins", distribution="zoo-twin-two")
    site.add("timm", distribution="rival-timm")
    site.add("Upper", distribution="zoo-upper")
    return Answers(site.run("list", "--json"), site.run("info", "good/net"), site.run("--help"), site.describe())


def test_list_gives_the_good_rows_and_only_them_beside_every_fault(crowd: Answers) -> None:
    assert crowd.listed.returncode == 0, crowd.listed.stderr
    names = {row["name"] for row in json.loads(crowd.listed.stdout)}
    strangers = {name for name in names if name.partition("/")[0] not in FIRST_PARTY}
    assert strangers == {"good/net", "noisy/net"}


def test_info_and_help_work_beside_every_fault(crowd: Answers) -> None:
    assert crowd.shown.returncode == 0, crowd.shown.stderr
    assert "good/net" in crowd.shown.stdout
    assert crowd.helped.returncode == 0, crowd.helped.stderr
    assert "plugins" in crowd.helped.stdout


@pytest.mark.parametrize("name", [*FAULTS, *HEAVY_FAULTS])
def test_plugins_names_the_fault(crowd: Answers, name: str) -> None:
    fault = {**FAULTS, **HEAVY_FAULTS}[name]
    row = crowd.plugins[f"zoo-{name}"]
    assert row["state"] == fault.state
    assert row["version"] == "1.5"
    assert row["backbones"] == 0
    for part in fault.says:
        assert part.replace("NAMESPACE", name) in row["reason"]


@pytest.mark.parametrize("name", [*FAULTS, *HEAVY_FAULTS])
def test_list_says_on_one_line_of_stderr_which_plugin_is_out(crowd: Answers, name: str) -> None:
    lines = [line for line in crowd.listed.stderr.splitlines() if line.startswith(f"plugin {name} is ")]
    assert lines == [
        f"plugin {name} is {crowd.plugins[f'zoo-{name}']['state']}: {crowd.plugins[f'zoo-{name}']['reason']}"
    ]


def test_plugins_shows_what_a_good_plugin_has(crowd: Answers) -> None:
    assert crowd.plugins["zoo-good"] == {
        "namespace": "good",
        "distribution": "zoo-good",
        "version": "1.5",
        "state": "ok",
        "reason": "",
        "backbones": 1,
        "datasets": [],
        "output": "",
    }


def test_what_a_plugin_prints_is_kept_for_zoo_plugins(crowd: Answers) -> None:
    assert crowd.plugins["zoo-noisy"]["state"] == "ok"
    assert crowd.plugins["zoo-noisy"]["output"] == "noise\nmore noise\n"
    assert "noise" not in crowd.listed.stdout + crowd.listed.stderr


def test_of_two_strangers_with_one_namespace_none_is_loaded(crowd: Answers) -> None:
    for distribution in ("zoo-twin-one", "zoo-twin-two"):
        row = crowd.plugins[distribution]
        assert row["state"] == "conflict"
        assert "zoo-twin-one" in row["reason"]
        assert "zoo-twin-two" in row["reason"]


def test_a_first_party_namespace_is_refused_to_a_stranger(crowd: Answers) -> None:
    assert crowd.plugins["rival-timm"]["state"] == "conflict"
    assert "belongs to zoo-timm" in crowd.plugins["rival-timm"]["reason"]


def test_a_namespace_in_upper_case_is_refused(crowd: Answers) -> None:
    assert crowd.plugins["zoo-upper"]["state"] == "broken"
    assert "'Upper' is no namespace" in crowd.plugins["zoo-upper"]["reason"]


@pytest.mark.parametrize("name", FAULTS)
def test_alone_too_a_faulty_plugin_offers_nothing_and_leaves_the_good_one_alone(
    site: Site, load: Callable[[], dict[str, Plugin]], name: str
) -> None:
    site.add(name, FAULTS[name].source)
    plugins = load()
    bad, good = plugins[f"zoo-{name}"], plugins["zoo-good"]
    assert (bad.state, bad.backbones, bad.datasets, bad.hooks) == (FAULTS[name].state, (), (), None)
    assert "\n" not in bad.reason
    assert [spec.name for spec in good.backbones] == ["good/net"]


def test_loading_leaves_the_process_as_it_was(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("crash", FAULTS["raises-midway"].source)
    before = (list(sys.meta_path), sys.stdout, sys.stderr)
    load()
    assert (list(sys.meta_path), sys.stdout, sys.stderr) == before


def test_details_hold_the_traceback_of_the_plugin(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("crash", FAULTS["raises-in-hook"].source)
    details = load()["zoo-crash"].details
    assert "Traceback" in details
    assert "plugin_zoo_crash.py" in details


@pytest.mark.parametrize(
    ("source", "entry_points"),
    [("", "[zoo]\nbad = nowhere_at_all\n"), ("", "[zoo]\nbad = plugin_zoo_bad:absent\n"), ("", "[zoo]\nbad = a b!\n")],
    ids=["no-module", "no-attribute", "no-reference"],
)
def test_an_entry_point_that_points_nowhere_is_broken(
    site: Site, load: Callable[[], dict[str, Plugin]], source: str, entry_points: str
) -> None:
    site.add("bad", source, entry_points=entry_points)
    plugins = load()
    assert plugins["zoo-bad"].state == "broken"
    assert plugins["zoo-good"].state == "ok"


def test_an_underscore_in_the_name_of_a_distribution_is_a_dash(
    site: Site, load: Callable[[], dict[str, Plugin]]
) -> None:
    site.add("acme", distribution="Acme_Zoo.Plugin")
    assert load()["acme-zoo-plugin"].state == "ok"


def test_plugins_come_sorted_by_namespace(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("zebra")
    site.add("ant")
    namespaces = [plugin.namespace for plugin in load().values()]
    assert namespaces == sorted(namespaces)
    assert {"ant", "good", "zebra"} <= set(namespaces)


@pytest.mark.parametrize(
    "environment",
    [
        {"ZOO_DISABLE_PLUGINS": "crash"},
        {"ZOO_DISABLE_PLUGINS": "zoo-crash"},
        {"ZOO_DISABLE_PLUGINS": " other , crash ,"},
        {"ZOO_LOAD_PLUGINS": "good"},
        {"ZOO_LOAD_PLUGINS": "zoo-good"},
        {"ZOO_LOAD_PLUGINS": "good,crash", "ZOO_DISABLE_PLUGINS": "zoo-crash"},
    ],
    ids=str,
)
def test_what_is_switched_off_is_not_even_imported(
    site: Site,
    load: Callable[[], dict[str, Plugin]],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = site.folder / "was-imported"
    site.add("crash", f"open({str(mark)!r}, 'w').close()\nraise SystemExit\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plugins = load()
    assert not mark.exists()
    assert plugins["zoo-crash"].state == "disabled"
    assert "ZOO_DISABLE_PLUGINS" in plugins["zoo-crash"].reason
    assert plugins["zoo-good"].state == "ok"


def test_disabling_one_of_two_claimants_gives_the_namespace_to_the_other(
    site: Site, load: Callable[[], dict[str, Plugin]], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("twins", distribution="twin-one")
    site.add("twins", distribution="twin-two")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "twin-one")
    plugins = load()
    assert plugins["twin-one"].state == "disabled"
    assert [spec.name for spec in plugins["twin-two"].backbones] == ["twins/net"]


def test_the_commands_too_obey_the_environment(site: Site) -> None:
    site.add("crash", "import os\nos._exit(7)\n")
    assert site.run("list").returncode == 7
    assert site.list_names(ZOO_LOAD_PLUGINS="good") == ["good/net"]
    assert "good/net" in site.list_names(ZOO_DISABLE_PLUGINS="crash")


def test_misspelt_names_in_the_environment_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_LOAD_PLUGINS", "good,godo")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo-acme, zoo-amce")
    plugins = [Plugin("good", "zoo-good", "1.0"), Plugin("acme", "zoo-acme", "1.0")]
    assert list_unknown_names(plugins) == ["godo", "zoo-amce"]


def test_plugins_says_which_name_in_the_environment_is_misspelt(site: Site) -> None:
    result = site.run("plugins", ZOO_DISABLE_PLUGINS="godo")
    assert result.returncode == 0
    assert "names godo, which is not installed" in result.stderr


def test_list_says_which_name_in_the_environment_is_misspelt(site: Site) -> None:
    result = site.run("list", ZOO_LOAD_PLUGINS="godo")
    assert result.returncode == 0
    assert "names godo, which is not installed" in result.stderr


@pytest.mark.parametrize("variable", ["ZOO_DISABLE_PLUGINS", "ZOO_LOAD_PLUGINS"])
@pytest.mark.parametrize("name", ["Zoo_Acme", "zoo-acme", "ZOO.ACME"])
def test_a_distribution_may_be_named_in_the_environment_however_it_is_spelt(
    site: Site, load: Callable[[], dict[str, Plugin]], monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    site.add("acme", distribution="Zoo_Acme")
    monkeypatch.setenv(variable, name)
    plugins = load()
    named, other = plugins["zoo-acme"].state, plugins["zoo-good"].state
    assert (named, other) == (("disabled", "ok") if variable == "ZOO_DISABLE_PLUGINS" else ("ok", "disabled"))
    assert list_unknown_names(plugins.values()) == []


UNLISTED = hook("print('looking')", "return spec(f'NAMESPACE/{name}')", name="zoo_find_backbone", arguments="name")


def test_find_unlisted_gets_the_name_without_the_namespace(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("wide", UNLISTED)
    plugins = load()
    found = find_unlisted(plugins["zoo-wide"], "any")
    assert found is not None
    assert found.name == "wide/any"
    assert find_unlisted(plugins["zoo-good"], "any") is None


def test_what_a_hook_prints_goes_to_stderr(site: Site) -> None:
    site.add("wide", UNLISTED)
    result = site.run("info", "wide/any", "--json")
    assert json.loads(result.stdout)["name"] == "wide/any"
    assert "looking" in result.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise OSError('no network')", "OSError: no network"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("return 'net'", "no BackboneSpec"),
        ("return [spec('NAMESPACE/net')]", "no BackboneSpec"),
        ("return spec('torchvision/vgg16')", "begin with wide/"),
    ],
)
def test_a_lookup_that_fails_is_an_error_of_that_lookup_only(
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
def test_the_error_of_a_lookup_names_the_plugin_and_the_hook(site: Site, line: str) -> None:
    site.add("wide", hook(line, name="zoo_find_backbone", arguments="name"))
    result = site.run("info", "wide/any")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "plugin wide" in result.stderr
    assert "zoo_find_backbone" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["1 / 0", "raise SystemExit(3)", "raise BaseException('why')"])
def test_a_hook_that_fails_says_so_and_may_be_called_again(
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


def test_a_plugin_that_cannot_be_used_answers_nothing() -> None:
    plugin = Plugin("off", "zoo-off", "1.0")
    plugin.fail("disabled", "switched off.")
    assert call_hook(plugin, "zoo_run_started", run={}) == []
    assert find_unlisted(plugin, "net") is None


def test_ctrl_c_in_a_hook_stops_zoo(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("slow", hook("raise KeyboardInterrupt", name="zoo_run_started"))
    with pytest.raises(KeyboardInterrupt):
        call_hook(load()["zoo-slow"], "zoo_run_started", run={})


def test_ctrl_c_stops_zoo_and_not_only_the_plugin(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("slow", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_a_plugin_may_ask_whether_a_heavy_module_is_installed(site: Site) -> None:
    site.add("asks", f"import importlib.util\nHAS = importlib.util.find_spec('torch') is not None\n{LISTS}")
    assert site.describe()["zoo-asks"]["state"] == "ok"


def test_what_one_plugin_was_refused_can_be_imported_after_all_are_loaded(site: Site) -> None:
    site.add("hides", HEAVY_FAULTS["hides-its-import"].source)
    code = (
        "from zoo.discovery import discover_plugins\n"
        "print(*(plugin.state for plugin in discover_plugins() if plugin.namespace == 'hides'))\n"
        "import numpy\n"
        "print(numpy.zeros(2).sum())\n"
    )
    result = site.python("-c", code)
    assert result.stdout.split() == ["broken", "0.0"], result.stderr


def test_an_entry_point_is_a_module_and_nothing_else(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    source = f"{PREAMBLE}class Acme:\n    ZOO_API = 1\n\n\nplugin = Acme()\n"
    site.add("acme", source, entry_points="[zoo]\nacme = plugin_zoo_acme:plugin\n")
    plugin = load()["zoo-acme"]
    assert plugin.state == "broken"
    assert "Acme; it must be a module" in plugin.reason


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("import sys\nsys.stdout.close()\n", id="closes-stdout"),
        pytest.param("import sys\nsys.stdout.detach()\n", id="detaches-stdout"),
        pytest.param("import sys\nsys.stdout.buffer.close()\n", id="closes-below-stdout"),
        pytest.param("print('\\udcff')\n", id="prints-no-text"),
        pytest.param("import sys\nsys.meta_path[:] = sys.meta_path[1:]\n", id="takes-the-guard-away"),
        pytest.param(
            "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n\nraise Mute\n",
            id="cannot-say-its-error",
        ),
        pytest.param(
            "class Mute(Exception):\n    def __str__(self):\n        raise SystemExit\n\n\nraise Mute\n",
            id="exits-while-it-says-its-error",
        ),
        pytest.param("class Panic(BaseException):\n    pass\n\n\nraise Panic\n", id="raises-no-exception"),
        pytest.param("raise BaseExceptionGroup('both', [SystemExit(1), ValueError()])\n", id="raises-several"),
    ],
)
def test_no_plugin_takes_the_others_down(site: Site, source: str) -> None:
    site.add("bad", source + LISTS)
    assert "good/net" in site.list_names()


@pytest.mark.parametrize("text", ["\\x1b[31m", "\\udcff", "a\\x00b"])
def test_the_reason_can_be_printed(site: Site, load: Callable[[], dict[str, Plugin]], text: str) -> None:
    site.add("odd", f"raise ValueError('{text}')\n")
    assert load()["zoo-odd"].reason.isprintable()


# Damaged installations.


def test_distributions_without_metadata_are_plugins_without_a_name_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("half", "torn"):
        site.add(name)
        (site.info(f"zoo-{name}") / "METADATA").unlink()
    monkeypatch.syspath_prepend(str(site.folder))
    found = {plugin.namespace: plugin for plugin in discover_plugins() if plugin.distribution == "unknown"}
    assert {name: (plugin.state, plugin.version) for name, plugin in found.items()} == {
        "half": ("ok", ""),
        "torn": ("ok", ""),
    }


def test_a_distribution_without_metadata_to_which_two_entries_of_the_path_lead_is_one_plugin(site: Site) -> None:
    site.add("half")
    (site.info("zoo-half") / "METADATA").unlink()
    # The site is on the path, and it is the current folder, too.
    assert {"good/net", "half/net"} <= set(site.list_names())


@pytest.mark.parametrize("entry_points", ["[zoo]\nhalf\n", "[zoo]\n = plugin_zoo_half\n[zoo]\nx\n"])
def test_a_damaged_entry_points_file_is_broken_by_name_and_takes_nothing_down(site: Site, entry_points: str) -> None:
    site.add("half", entry_points=entry_points)
    assert "good/net" in site.list_names()
    row = site.describe()["zoo-half"]
    assert (row["state"], row["backbones"]) == ("broken", 0)
    assert row["reason"].startswith("its installation is damaged: ")
    assert "plugin zoo-half is broken: its installation is damaged" in site.run("list").stderr


def test_an_entry_points_file_that_is_no_text_is_broken_by_name_and_takes_nothing_down(site: Site) -> None:
    site.add("half")
    (site.info("zoo-half") / "entry_points.txt").write_bytes(b"[zoo]\n\xff = plugin_zoo_half\n")
    assert "good/net" in site.list_names()
    assert "plugin zoo-half is broken: its installation is damaged" in site.run("list").stderr
    assert site.describe()["zoo-half"]["state"] == "broken"


def test_a_damaged_distribution_that_is_no_plugin_is_none_of_our_business(site: Site) -> None:
    site.add("other")
    (site.info("zoo-other") / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff = other\n")
    result = site.run("list")
    assert result.returncode == 0
    assert "damaged" not in result.stderr


def test_a_damaged_installation_can_be_switched_off(site: Site) -> None:
    site.add("half", entry_points="[zoo]\nhalf\n")
    assert site.describe(ZOO_DISABLE_PLUGINS="zoo-half")["zoo-half"]["state"] == "disabled"


def test_of_two_copies_on_the_path_the_first_is_the_plugin(site: Site) -> None:
    older = Site(site.folder / "older")
    older.add("good", "raise ValueError\n")
    path = os.pathsep.join((str(site.folder), str(older.folder)))
    assert site.list_names(PYTHONPATH=path, ZOO_LOAD_PLUGINS="good") == ["good/net"]


# One step at a time.


def test_claims_are_found_without_importing_the_plugin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("crash", "raise SystemExit\n")
    monkeypatch.syspath_prepend(str(site.folder))
    ((plugin, entry_point),) = find_claims("crash")
    assert (plugin.distribution, plugin.version, plugin.state) == ("zoo-crash", "1.5", "ok")
    assert entry_point.value == "plugin_zoo_crash"
    assert "plugin_zoo_crash" not in sys.modules


def test_every_distribution_that_claims_a_namespace_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("twins", distribution="zoo-twin-one")
    site.add("twins", distribution="zoo-twin-two")
    monkeypatch.syspath_prepend(str(site.folder))
    assert {plugin.distribution for plugin, _ in find_claims("twins")} == {"zoo-twin-one", "zoo-twin-two"}


def test_a_namespace_that_nobody_claims_is_an_error_that_lists_those_that_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site.folder))
    with pytest.raises(NameNotFound, match=r"no plugin 'godo' is installed; installed are .*\bgood\b"):
        find_claims("godo")


@pytest.mark.parametrize(
    ("version", "state", "says"),
    [
        (1, "ok", ""),
        (2, "incompatible", "written for plugin API 2, this zoo speaks 1; upgrade zoo."),
        (0, "incompatible", "written for plugin API 0, this zoo speaks 1; upgrade the plugin."),
        ("1", "broken", "its module says ZOO_API = '1'; it must say ZOO_API = 1."),
        (True, "broken", "its module says ZOO_API = True; it must say ZOO_API = 1."),
    ],
)
def test_a_version_is_judged_by_its_number(version: object, state: str, says: str) -> None:
    module = ModuleType("acme")
    module.ZOO_API = version  # type: ignore[attr-defined]
    assert judge_version(module) == (state, says)


def test_a_module_without_a_version_is_broken() -> None:
    assert judge_version(ModuleType("acme"))[0] == "broken"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("zoo_backbone = hookimpl(lambda: [])", "zoo_backbone is no hook; the hooks are zoo_backbones, "),
        ("zoo_backbone = print", "zoo_backbone is no hook"),
        ("backbones = hookimpl(lambda: [])", "backbones is no hook"),
        ("zoo_datasets = print", "zoo_datasets is not marked; put @hookimpl above it."),
    ],
)
def test_what_is_meant_as_a_hook_and_is_none_is_refused(line: str, says: str) -> None:
    module = ModuleType("acme")
    exec(f"from zoo.plugin import hookimpl\n{line}", vars(module))
    with pytest.raises(PluginError) as caught:
        refuse_misspelt_hooks(module)
    assert says in str(caught.value)


def test_hooks_and_what_has_nothing_to_do_with_them_are_not_refused() -> None:
    module = ModuleType("acme")
    exec("from zoo.plugin import hookimpl\nzoo_datasets = hookimpl(lambda: [])\nzoo_version = '1'", vars(module))
    refuse_misspelt_hooks(module)
