from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from installed_sites import LISTS, PREAMBLE, Site
from zoo.errors import PluginError
from zoo.plugin import hookimpl
from zoo.registry.plugins.load import Plugin, check_version, load_module, refuse_wrong_hooks


def test_ctrl_c_while_loading_stops_zoo(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("slow", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_a_plugin_can_check_whether_a_heavy_module_is_installed(site: Site) -> None:
    site.add("asks", f"import importlib.util\nHAS = importlib.util.find_spec('torch') is not None\n{LISTS}")
    assert site.describe()["zoo-asks"]["state"] == "ok"


def test_an_entry_point_that_is_not_a_module_is_refused(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    source = f"{PREAMBLE}class Acme:\n    ZOO_API = 1\n\n\nplugin = Acme()\n"
    site.add("acme", source, entry_points="[zoo]\nacme = plugin_zoo_acme:plugin\n")
    plugin = load()["zoo-acme"]
    assert plugin.state == "broken"
    assert "Acme; it must be a module" in plugin.reason


@pytest.mark.parametrize("value", ["a b!", ":x", "sys:a b", ""])
def test_a_malformed_entry_point_is_refused_with_the_valid_forms(value: str) -> None:
    with pytest.raises(PluginError, match="must be MODULE, or MODULE:NAME"):
        load_module(EntryPoint("acme", value, "zoo"))


@pytest.mark.parametrize("value", ["sys", "sys [extra]", "os : sys"])
def test_an_entry_point_loads_its_module(value: str) -> None:
    assert load_module(EntryPoint("acme", value, "zoo")) is sys


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("import sys\nsys.stdout.close()\n", id="closes-stdout"),
        pytest.param("import sys\nsys.stdout.detach()\n", id="detaches-stdout"),
        pytest.param("import sys\nsys.stdout.buffer.close()\n", id="closes-the-buffer-of-stdout"),
        pytest.param("print('\\udcff')\n", id="prints-a-surrogate"),
        pytest.param("import sys\nsys.meta_path[:] = sys.meta_path[1:]\n", id="removes-the-import-guard"),
        pytest.param(
            "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n\nraise Mute\n",
            id="raises-in-str",
        ),
        pytest.param(
            "class Mute(Exception):\n    def __str__(self):\n        raise SystemExit\n\n\nraise Mute\n",
            id="exits-in-str",
        ),
        pytest.param("class Panic(BaseException):\n    pass\n\n\nraise Panic\n", id="raises-base-exception"),
        pytest.param("raise BaseExceptionGroup('both', [SystemExit(1), ValueError()])\n", id="raises-a-group"),
    ],
)
def test_a_faulty_plugin_does_not_affect_the_others(site: Site, source: str) -> None:
    site.add("bad", source + LISTS)
    assert "good/net" in site.list_names()


@pytest.mark.parametrize("text", ["\\x1b[31m", "\\udcff", "a\\x00b"])
def test_the_reason_is_printable(site: Site, load: Callable[[], dict[str, Plugin]], text: str) -> None:
    site.add("odd", f"raise ValueError('{text}')\n")
    assert load()["zoo-odd"].reason.isprintable()


@pytest.mark.parametrize(
    ("version", "state", "says"),
    [
        (1, "ok", ""),
        (2, "ok", ""),
        (3, "incompatible", "it was written for plugin API 3, but this zoo accepts 1 and 2; upgrade zoo."),
        (0, "incompatible", "it was written for plugin API 0, but this zoo accepts 1 and 2; upgrade the plugin."),
        ("1", "broken", "its ZOO_API is '1'; it must be 1 or 2."),
        (True, "broken", "its ZOO_API is True; it must be 1 or 2."),
    ],
)
def test_the_state_depends_on_the_version_of_the_contract(version: object, state: str, says: str) -> None:
    module = ModuleType("acme")
    module.ZOO_API = version  # type: ignore[attr-defined]
    assert check_version(module) == (state, says)


def test_a_module_without_a_version_is_broken() -> None:
    assert check_version(ModuleType("acme"))[0] == "broken"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("zoo_backbone = hookimpl(lambda: [])", "zoo_backbone is not a hook; the hooks are zoo_backbones, "),
        ("zoo_backbone = print", "zoo_backbone is not a hook"),
        ("backbones = hookimpl(lambda: [])", "backbones is not a hook"),
        ("zoo_datasets = print", "zoo_datasets is not marked; put @hookimpl above it."),
        ("zoo_datasets = hookimpl(lambda place: [])", "has the unknown argument place; it takes no arguments."),
        (
            "zoo_find_backbone = hookimpl(lambda nam: None)",
            "has the unknown argument nam; it takes name.",
        ),
    ],
)
def test_a_wrong_hook_is_refused(line: str, says: str) -> None:
    module = ModuleType("acme")
    exec(f"from zoo.plugin import hookimpl\n{line}", vars(module))
    with pytest.raises(PluginError) as caught:
        refuse_wrong_hooks(module)
    assert says in str(caught.value)


def test_correct_hooks_and_unrelated_names_are_accepted() -> None:
    module = ModuleType("acme")
    exec("from zoo.plugin import hookimpl\nzoo_datasets = hookimpl(lambda size=8: [])\nzoo_version = '1'", vars(module))
    refuse_wrong_hooks(module)


def test_a_hook_can_take_variadic_arguments() -> None:
    module = ModuleType("zoo_wide")

    @hookimpl
    def zoo_run_started(run: object, *rest: object, **more: object) -> None:
        """Accept all arguments."""

    module.zoo_run_started = zoo_run_started  # type: ignore[attr-defined]
    refuse_wrong_hooks(module)
