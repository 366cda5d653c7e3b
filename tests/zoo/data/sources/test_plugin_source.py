"""Kinds of data sources that a plugin adds."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_registries import make_plugin
from zoo.data.listing import Listing
from zoo.data.source import list_images, look_up
from zoo.errors import DataError, OptionError, PluginError
from zoo.plugin import DatasetSpec, SourceSpec
from zoo.registry.data_options import DataOptions
from zoo.registry.plugins.load import Plugin, load_plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

ROWS = [("a.png", "ant"), ("b.png", "bee")]


def make_source(fetch: Callable[..., Any], prefix: str = "acme") -> SourceSpec:
    return SourceSpec(prefix=prefix, description="an album", fetch=fetch)


@pytest.fixture
def list_(cache: Path, progress: Any) -> Any:
    assert cache

    def list_with(fetch: Callable[..., Any], value: str = "acme:bugs", **options: Any) -> Listing:
        registry = Registry([make_plugin("acme", zoo_data_sources=lambda: [make_source(fetch)])], RegistryToml())
        return list_images(value, DataOptions.parse(**options), registry=registry, progress=progress)

    return list_with


def test_pairs_are_listed_and_recorded(list_: Any, tmp_path: Path) -> None:
    asked = []

    def fetch(name: str, _folder: Path) -> Any:
        asked.append(name)
        for path, label in ROWS:
            yield tmp_path / path, label

    listing = list_(fetch, "acme:my bugs:2")
    assert asked == ["my bugs:2"]
    assert [(file.path, file.class_name) for file in listing.files] == [(tmp_path / path, name) for path, name in ROWS]
    assert not listing.has_splits
    assert listing.source == {"name": "acme:my bugs:2"}


def test_splits_are_those_of_the_plugin(list_: Any) -> None:
    listing = list_(lambda _name, _folder: [("a.png", "ant", "train"), ("b.png", "ant", "validation")])
    assert [file.split for file in listing.files] == ["train", "val"]


def test_the_folder_is_kept_and_names_do_not_depend_on_it(list_: Any, cache: Path) -> None:
    def fetch(_name: str, folder: Path) -> list[tuple[Path, str]]:
        assert folder.is_relative_to(cache)
        (folder / f"{len(list(folder.iterdir()))}.png").touch()
        return [(path, "ant") for path in sorted(folder.iterdir())]

    list_(fetch)
    listing = list_(fetch)
    assert [file.name for file in listing.files] == ["0.png", "1.png"]
    assert all(file.path.is_file() for file in listing.files)


def test_a_folder_or_an_archive_is_read_like_one_of_the_user(list_: Any, plant: Any, tmp_path: Path) -> None:
    folder = plant(tmp_path / "photos", {"train/ant": 1, "test/ant": 1})
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, path.relative_to(folder))
    for result in (folder, str(folder), tmp_path / "photos.zip"):
        assert list_(lambda _name, _folder, result=result: result).splits == ("train", "test")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (7, "7; it must be a path"),
        (None, "None; it must be a path"),
        ([("a.png", 1)], "as item 0; it must be"),
        ([*ROWS, ("c.png", "cat", "train")], "as item 2; it must be .* the same for all images"),
        (["a.png"], "as item 0; it must be"),
    ],
)
def test_another_result_is_an_error_that_shows_it(list_: Any, result: Any, message: str) -> None:
    with pytest.raises(PluginError, match=rf"the function for 'acme:bugs' returns .*{message}"):
        list_(lambda _name, _folder: result)


def test_an_exception_of_the_plugin_is_one_line_with_its_place(list_: Any) -> None:
    def fetch(_name: str, _folder: Path) -> Any:
        yield from ROWS
        raise OSError("no\nnetwork")

    with pytest.raises(PluginError, match=r"^the images of 'acme:bugs' cannot be fetched: OSError: no network .*\.py"):
        list_(fetch)


def test_options_for_other_sources_are_refused(list_: Any) -> None:
    for options in ({"label_from": "(a|b)"}, {"columns": "label=breed"}):
        with pytest.raises(OptionError, match="applies only to a"):
            list_(lambda _name, _folder: ROWS, **options)


def test_an_unknown_prefix_is_an_error_that_lists_the_known_ones(list_: Any) -> None:
    with pytest.raises(DataError, match=r"no source photos:, only hf: \(.*\), torchvision: \(.*\), acme: \(an album\)"):
        list_(print, "photos:bugs")


def test_an_existing_folder_takes_precedence(
    list_: Any, plant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "acme:bugs", {"ant": 1})
    monkeypatch.chdir(tmp_path)
    assert [file.class_name for file in list_(lambda _name, _folder: ROWS).files] == ["ant"]


@pytest.mark.parametrize(
    ("prefixes", "reason"),
    [
        (["bolt"], "it lists the data source bolt:; its prefixes must begin with acme."),
        (["acmeish"], "it lists the data source acmeish:"),
        (["acme", "acme"], "it lists the data source acme: more than once."),
    ],
)
def test_a_plugin_with_wrong_prefixes_is_broken_and_others_are_not(prefixes: list[str], reason: str) -> None:
    good = make_plugin("bolt", zoo_data_sources=lambda: [make_source(print, "bolt"), make_source(print, "bolt-x")])
    assert [spec.prefix for spec in Registry([good]).list_sources()] == ["bolt", "bolt-x"]
    with pytest.raises(AssertionError, match=reason):
        make_plugin("acme", zoo_data_sources=lambda: [make_source(print, prefix) for prefix in prefixes])


@pytest.mark.parametrize("prefix", ["hf", "torchvision", "https", "a", "Acme", "acme:", "", 7])
def test_a_prefix_with_another_meaning_is_refused(prefix: Any) -> None:
    with pytest.raises(PluginError, match=r"SourceSpec has prefix=.*; it must be"):
        make_source(print, prefix)


def test_a_source_needs_a_function_and_a_description() -> None:
    with pytest.raises(PluginError, match="fetch=None; it must be a function"):
        SourceSpec(prefix="acme", description="an album", fetch=None)  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="description=''; it must be a one-line string"):
        SourceSpec(prefix="acme", description="", fetch=print)  # type: ignore[arg-type]


def test_a_plugin_that_cannot_be_used_has_no_sources() -> None:
    plugin = Plugin("acme", "zoo-acme", "1.0", sources=(make_source(print),))

    def fail() -> Any:
        raise ValueError("broken")

    load_plugin(plugin, fail)
    assert plugin.state == "broken"
    assert plugin.sources == ()


def test_a_named_data_set_can_stand_for_a_source(names: Any, progress: Any, cache: Path) -> None:
    assert cache
    names.sources.append(make_source(lambda name, _folder: [(f"{name}.png", "ant"), ("b.png", "bee")]))
    names.specs["bugs"] = DatasetSpec(name="bugs", description="Bugs", license="MIT", source="acme:small")
    names.files["bugs"] = Path("registry.toml")
    listing = list_images("bugs", DataOptions.parse(), registry=names, progress=progress)
    assert [file.name for file in listing.files] == ["small.png", "b.png"]
    assert listing.source == {"name": "acme:small"}
    assert progress.lines == ["note: bugs is defined in registry.toml: acme:small"]


def test_a_named_data_set_of_an_unknown_source_is_an_error_at_once(names: Any) -> None:
    names.specs["bugs"] = DatasetSpec(name="bugs", description="Bugs", license="MIT", source="bolt:small")
    with pytest.raises(DataError, match="no source bolt:"):
        look_up("bugs", registry=names)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("acme:", "an album"), ("hf:", "a data set on the Hugging Face Hub"), ("torchvision:", "a torchvision data set")],
)
def test_a_prefix_without_a_name_is_an_error_that_shows_how_to_name_it(list_: Any, value: str, meaning: str) -> None:
    with pytest.raises(DataError, match=rf"^'{value}' has no name; pass {value}NAME, which means {meaning}\.$"):
        list_(lambda _name, folder: folder, value)


@pytest.mark.parametrize("prefix", ["acme", "acme-album"])
def test_the_prefix_of_a_broken_plugin_is_an_error_that_names_the_plugin(prefix: str) -> None:
    plugin = Plugin("acme", "zoo-acme", "1.0")
    plugin.fail("broken", "it raises")
    with pytest.raises(DataError, match=r"; the plugin acme is broken; see `zoo plugins`\.$"):
        look_up(f"{prefix}:bugs", registry=Registry([plugin], RegistryToml()))
    with pytest.raises(DataError, match=r"\)\.$"):
        look_up("acmes:bugs", registry=Registry([plugin], RegistryToml()))
