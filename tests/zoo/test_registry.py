from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.discovery import FIRST_PARTY
from zoo.errors import NameNotFound, PluginError
from zoo.loading import Plugin, load_plugin
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, WeightsSpec, hookimpl
from zoo.registry import Registry, Resolved, find_weights, list_backbones
from zoo.settings import Settings

TAGS = (WeightsSpec(tag="V2", url=None, licence="MIT"), WeightsSpec(tag="V1", url=None, licence="MIT"))


def make_backbone(name: str, **changes: Any) -> BackboneSpec:
    facts: dict[str, Any] = {
        "name": name,
        "family": "f",
        "build": print,
        "head": ("fc",),
        "blocks": (BlockSpec("b", ("b",)),),
        "params": 5,
        "licence": "MIT",
        "weights": TAGS,
    }
    return BackboneSpec(**{**facts, **changes})


def make_plugin(namespace: str, names: Iterable[str] = (), **hooks: Callable[..., Any]) -> Plugin:
    """Load a plugin that lists these backbones and has these hooks."""
    module = ModuleType(namespace)
    module.ZOO_API = 1  # type: ignore[attr-defined]
    backbones = [make_backbone(f"{namespace}/{name}") for name in names]
    for name, function in {"zoo_backbones": lambda: backbones, **hooks}.items():
        setattr(module, name, hookimpl(function))
    plugin = Plugin(namespace, f"zoo-{namespace}", "1.0")
    load_plugin(plugin, lambda: module)
    assert plugin.state == "ok", plugin.reason
    return plugin


def make_registry(listed: dict[str, list[str]], **settings: Any) -> Registry:
    """Make a registry of plugins by namespace, with what each of them lists."""
    return Registry([make_plugin(namespace, names) for namespace, names in listed.items()], Settings(**settings))


def resolve(registry: Registry, asked: str) -> str:
    return registry.resolve(asked).backbone.name


def explain(registry: Registry, asked: str) -> str:
    with pytest.raises(NameNotFound) as caught:
        registry.resolve(asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
    assert resolve(Registry([plugin], Settings(aliases={"short": "acme/hidden"})), "short") == "acme/hidden"


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
    assert find_weights(backbone, "DEFAULT") is TAGS[0]
    assert find_weights(backbone, "V1") is TAGS[1]


def test_default_of_a_backbone_without_weights_is_an_error() -> None:
    with pytest.raises(NameNotFound, match="none are published"):
        find_weights(make_backbone("acme/net", weights=()), "DEFAULT")


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
    message = explain(Registry([plugin], Settings()), "acme/net")
    assert "the plugin acme is incompatible: written for plugin API 9." in message


def test_a_name_with_more_slashes_belongs_to_the_namespace_before_the_first() -> None:
    message = explain(make_registry({"acme": ["net"]}), "acme/hub/net")
    assert "no plugin" not in message


def test_of_an_alias_that_leads_nowhere_the_target_is_named() -> None:
    assert "bolt/gone" in explain(make_registry({"bolt": ["net"]}, aliases={"short": "bolt/gone"}), "short")


# Backbones that are not listed.


def test_only_the_plugin_of_the_namespace_is_asked_for_unlisted_names() -> None:
    asked: list[str] = []

    def finder(namespace: str) -> Callable[..., Any]:
        def find(name: str) -> BackboneSpec | None:
            asked.append(f"{namespace}/{name}")
            return make_backbone(f"{namespace}/{name}") if name == "hidden" else None

        return find

    plugins = [make_plugin(namespace, ["net"], zoo_find_backbone=finder(namespace)) for namespace in ("acme", "bolt")]
    registry = Registry(plugins, Settings())
    assert resolve(registry, "bolt/hidden") == "bolt/hidden"
    assert resolve(registry, "acme/net") == "acme/net"
    assert "near are acme/net" in explain(registry, "acme/nett")
    assert "no backbone 'hidden'" in explain(registry, "hidden")
    assert asked == ["bolt/hidden", "acme/nett"]


def test_the_tag_is_not_part_of_the_name_that_a_plugin_is_asked_for() -> None:
    plugin = make_plugin("acme", zoo_find_backbone=lambda name: make_backbone(f"acme/{name}"))
    resolved = Registry([plugin], Settings()).resolve("acme/hidden@V1")
    assert (resolved.backbone.name, resolved.tag) == ("acme/hidden", "V1")


def test_a_plugin_that_fails_to_find_is_named_with_its_reason_and_may_be_asked_again() -> None:
    def find(name: str) -> BackboneSpec:
        if name == "hidden":
            raise OSError(f"no network for {name}")
        return make_backbone(f"acme/{name}")

    plugin = make_plugin("acme", ["net"], zoo_find_backbone=find)
    registry = Registry([plugin], Settings())
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            registry.resolve("acme/hidden@V1")
        assert str(caught.value) == "plugin acme failed in zoo_find_backbone: OSError: no network for hidden"
    assert plugin.state == "ok"
    assert resolve(registry, "acme/other") == "acme/other"
    assert resolve(registry, "net") == "acme/net"


def test_a_lookup_may_fail_after_an_event_did_and_is_asked_all_the_same() -> None:
    def fail() -> None:
        raise ValueError

    plugin = make_plugin("acme", zoo_run_started=fail, zoo_find_backbone=lambda name: make_backbone(f"acme/{name}"))
    registry = Registry([plugin], Settings())
    assert len(registry.announce("zoo_run_started", run={})) == 1
    assert resolve(registry, "acme/hidden") == "acme/hidden"


# What is said of versions.


def install(folder: Path, name: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


def note(upstream: str | None) -> tuple[str, ...]:
    plugin = Plugin("acme", "zoo-acme", "1.0", backbones=(make_backbone("acme/net", upstream=upstream),))
    return Registry([plugin], Settings()).resolve("acme/net").notes


def test_the_same_version_of_upstream_needs_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.2", monkeypatch)
    assert note("upstreamlib==1.2") == ()
    assert note(None) == ()


def test_another_version_of_upstream_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.3", monkeypatch)
    (line,) = note("upstreamlib==1.2")
    assert "acme/net" in line
    assert "upstreamlib 1.2" in line
    assert "installed is 1.3" in line


def test_a_missing_upstream_is_said_with_its_remedy() -> None:
    (line,) = note("not-installed-anywhere==1.2")
    assert "pip install not-installed-anywhere" in line


def test_a_build_for_one_device_is_the_same_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.2+cpu", monkeypatch)
    assert note("upstreamlib==1.2") == ()
    assert note("upstreamlib==1.2+cpu") == ()
    assert len(note("upstreamlib==1.2+cu130")) == 1


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
    registry = Registry(plugins, Settings(order=("timm",), aliases={"short": "bolt/net@V1", "gone": target}))
    resolved: Resolved | NameNotFound
    try:
        resolved = registry.resolve(asked)
    except NameNotFound as error:
        resolved = error
    if isinstance(resolved, NameNotFound):
        assert "\n" not in str(resolved)
    else:
        assert resolved.backbone in registry.list_backbones()


@given(pattern=st.text(alphabet="acmenet/*?[]!-^18\n", max_size=12))
@settings(deadline=None)
def test_any_text_is_a_pattern(pattern: str) -> None:
    registry = make_registry({"acme": ["net", "net18"]})
    found = list_backbones(pattern, registry)
    assert [backbone for backbone in registry.list_backbones() if backbone in found] == found


# Listing.


@pytest.fixture
def listed() -> Registry:
    return make_registry({"timm": ["vit_b", "resnet18"], "acme": ["vit", "net"]})


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (None, ["acme/net", "acme/vit", "timm/resnet18", "timm/vit_b"]),
        ("vit", ["acme/vit", "timm/vit_b"]),
        ("net", ["acme/net", "timm/resnet18"]),
        ("timm/", ["timm/resnet18", "timm/vit_b"]),
        ("timm/v*", ["timm/vit_b"]),
        ("v?t", ["acme/vit"]),
        ("*18", ["timm/resnet18"]),
        ("[nv]*t", ["acme/net", "acme/vit"]),
        ("nothing", []),
        ("VIT", ["acme/vit", "timm/vit_b"]),
        ("Timm/V*", ["timm/vit_b"]),
        ("[NV]*T", ["acme/net", "acme/vit"]),
    ],
)
def test_a_pattern_is_a_part_of_the_name_or_matches_the_whole(
    listed: Registry, pattern: str | None, names: list[str]
) -> None:
    assert [backbone.name for backbone in list_backbones(pattern, listed)] == names


# Data sets.


def make_dataset(name: str) -> DatasetSpec:
    return DatasetSpec(name=name, description="d", licence="MIT", url="https://example.org/d.zip")


def test_data_sets_of_settings_and_plugins_are_one_sorted_list() -> None:
    plugins = [make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")])]
    registry = Registry(plugins, Settings(datasets={"birds": make_dataset("birds"), "zebras": make_dataset("zebras")}))
    assert [spec.name for spec in registry.list_datasets()] == ["acme/pets", "birds", "zebras"]
    assert registry.get_dataset("pets").name == "acme/pets"
    assert registry.get_dataset("acme/pets").name == "acme/pets"


def test_a_data_set_of_the_settings_wins_its_bare_name() -> None:
    plugins = [make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")])]
    registry = Registry(plugins, Settings(datasets={"pets": make_dataset("pets")}))
    assert registry.get_dataset("pets").name == "pets"


def test_a_data_set_that_two_plugins_have_is_ambiguous() -> None:
    plugins = [
        make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")]),
        make_plugin("bolt", zoo_datasets=lambda: [make_dataset("bolt/pets")]),
    ]
    with pytest.raises(NameNotFound, match=r"ambiguous: acme/pets, bolt/pets"):
        Registry(plugins, Settings()).get_dataset("pets")


def test_a_stranger_never_takes_a_bare_data_set_from_a_first_party_plugin() -> None:
    plugins = [
        make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/shapes")]),
        make_plugin("tiny", zoo_datasets=lambda: [make_dataset("tiny/shapes")]),
    ]
    assert Registry(plugins, Settings()).get_dataset("shapes").name == "tiny/shapes"


@pytest.mark.parametrize(
    ("namespaces", "order", "winner"),
    [
        (("acme", "tiny"), ("acme",), "tiny"),
        (("timm", "tiny"), (), "timm"),
        (("timm", "tiny"), ("tiny", "timm"), "tiny"),
        (("acme", "bolt"), ("bolt", "acme"), "bolt"),
    ],
)
def test_a_bare_data_set_is_chosen_as_a_bare_backbone_is(
    namespaces: tuple[str, ...], order: tuple[str, ...], winner: str
) -> None:
    plugins = [
        make_plugin(name, ["shapes"], zoo_datasets=lambda name=name: [make_dataset(f"{name}/shapes")])
        for name in namespaces
    ]
    registry = Registry(plugins, Settings(order=order))
    assert registry.get_dataset("shapes").name == f"{winner}/shapes"
    assert resolve(registry, "shapes") == f"{winner}/shapes"


def test_an_unknown_data_set_is_an_error_that_lists_the_known_ones() -> None:
    registry = Registry([], Settings(datasets={"pets": make_dataset("pets")}))
    with pytest.raises(NameNotFound, match=r"no data set 'birds'; known are pets"):
        registry.get_dataset("birds")


# Events.


def test_every_plugin_is_told_and_only_the_failing_one_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []

    def fail(epoch: Any) -> None:
        told.append(f"bad {epoch['epoch']}")
        raise SystemExit(1)

    def follow(epoch: Any) -> None:
        sys.stdout.write("tracked\n")
        told.append(f"good {epoch['epoch']}")

    bad, good = make_plugin("bad", zoo_epoch_ended=fail), make_plugin("good", zoo_epoch_ended=follow)
    registry = Registry([bad, good], Settings())
    assert registry.announce("zoo_epoch_ended", run={}, epoch={"epoch": 1}) == [
        "plugin bad failed in zoo_epoch_ended: SystemExit: 1; it is told nothing more of this run"
    ]
    assert registry.announce("zoo_epoch_ended", run={}, epoch={"epoch": 2}) == []
    assert told == ["bad 1", "good 1", "good 2"]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "tracked\ntracked\n"


def test_plugins_without_the_hook_are_passed_over() -> None:
    registry = Registry([make_plugin("acme"), Plugin("off", "zoo-off", "1.0", state="disabled")], Settings())
    assert registry.announce("zoo_run_started", run={}) == []


def test_a_plugin_that_failed_on_one_event_is_told_no_other_and_the_rest_are() -> None:
    told: list[str] = []

    def fail() -> None:
        raise ValueError("why")

    def make(name: str, **hooks: Callable[..., Any]) -> Plugin:
        return make_plugin(
            name,
            (),
            zoo_epoch_ended=lambda: told.append(f"{name} epoch"),
            zoo_run_finished=lambda: told.append(name),
            **hooks,
        )

    registry = Registry(
        [make("one", zoo_run_started=fail), make("two", zoo_run_started=fail), make("three")], Settings()
    )
    complaints = registry.announce("zoo_run_started", run={})
    assert [line.partition(" failed in zoo_run_started: ValueError: why")[0] for line in complaints] == [
        "plugin one",
        "plugin two",
    ]
    assert registry.announce("zoo_epoch_ended", run={}, epoch={}) == []
    assert registry.announce("zoo_run_finished", run={}) == []
    assert told == ["three epoch", "three"]


def test_a_plugin_that_failed_in_one_run_is_told_of_the_next() -> None:
    told: list[str] = []

    def fail_once() -> None:
        told.append("started")
        if len(told) == 1:
            raise ValueError

    registry = Registry(
        [make_plugin("acme", (), zoo_run_started=fail_once, zoo_run_finished=lambda: told.append("finished"))],
        Settings(),
    )
    for _ in range(2):
        registry.announce("zoo_run_started", run={})
        registry.announce("zoo_run_finished", run={})
    assert told == ["started", "started", "finished"]


def test_no_plugin_can_change_what_the_others_are_told() -> None:
    seen: list[Any] = []
    run = {"seed": 0, "best": {"epoch": 1}}

    def meddle(run: Any) -> None:
        run["best"].update(epoch=9)
        run.clear()

    meddler = make_plugin("meddler", zoo_run_started=meddle)
    reader = make_plugin("reader", zoo_run_started=lambda run: seen.extend([run]))
    assert Registry([meddler, reader], Settings()).announce("zoo_run_started", run=run) == []
    assert seen == [run] == [{"seed": 0, "best": {"epoch": 1}}]
    assert seen[0] is not run


def test_a_plugin_that_is_told_nothing_more_still_lists_its_backbones() -> None:
    def fail() -> None:
        raise ValueError

    plugin = make_plugin("acme", ["net"], zoo_run_started=fail)
    registry = Registry([plugin], Settings())
    registry.announce("zoo_run_started", run={})
    assert (plugin.state, plugin.reason) == ("ok", "")
    assert [backbone.name for backbone in registry.list_backbones()] == ["acme/net"]
    assert resolve(registry, "net") == "acme/net"
