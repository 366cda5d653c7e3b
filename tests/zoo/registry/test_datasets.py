from __future__ import annotations

import pytest

from made_registries import make_plugin, resolve
from zoo.errors import NameNotFound
from zoo.plugin import DatasetSpec
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


def make_dataset(name: str) -> DatasetSpec:
    return DatasetSpec(name=name, description="d", license="MIT", url="https://example.org/d.zip")


def test_data_sets_of_registry_toml_and_of_plugins_are_listed_together() -> None:
    plugins = [make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")])]
    registry = Registry(
        plugins, RegistryToml(datasets={"birds": make_dataset("birds"), "zebras": make_dataset("zebras")})
    )
    assert [spec.name for spec in registry.list_datasets()] == ["acme/pets", "birds", "zebras"]
    assert registry.get_dataset("pets").name == "acme/pets"
    assert registry.get_dataset("acme/pets").name == "acme/pets"


def test_a_data_set_of_registry_toml_wins_a_bare_name() -> None:
    plugins = [make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")])]
    registry = Registry(plugins, RegistryToml(datasets={"pets": make_dataset("pets")}))
    assert registry.get_dataset("pets").name == "pets"


def test_a_bare_name_of_two_data_sets_is_ambiguous() -> None:
    plugins = [
        make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")]),
        make_plugin("bolt", zoo_datasets=lambda: [make_dataset("bolt/pets")]),
    ]
    with pytest.raises(NameNotFound, match=r"ambiguous: acme/pets, bolt/pets"):
        Registry(plugins, RegistryToml()).get_dataset("pets")


def test_a_third_party_plugin_never_wins_a_bare_data_set_name_over_a_first_party_one() -> None:
    plugins = [
        make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/shapes")]),
        make_plugin("tiny", zoo_datasets=lambda: [make_dataset("tiny/shapes")]),
    ]
    assert Registry(plugins, RegistryToml()).get_dataset("shapes").name == "tiny/shapes"


@pytest.mark.parametrize(
    ("namespaces", "order", "winner"),
    [
        (("acme", "tiny"), ("acme",), "tiny"),
        (("timm", "tiny"), (), "timm"),
        (("timm", "tiny"), ("tiny", "timm"), "tiny"),
        (("acme", "bolt"), ("bolt", "acme"), "bolt"),
    ],
)
def test_bare_names_of_data_sets_are_resolved_like_those_of_backbones(
    namespaces: tuple[str, ...], order: tuple[str, ...], winner: str
) -> None:
    plugins = [
        make_plugin(name, ["shapes"], zoo_datasets=lambda name=name: [make_dataset(f"{name}/shapes")])
        for name in namespaces
    ]
    registry = Registry(plugins, RegistryToml(order=order))
    assert registry.get_dataset("shapes").name == f"{winner}/shapes"
    assert resolve(registry, "shapes") == f"{winner}/shapes"


def test_an_unknown_data_set_is_an_error_that_lists_the_known_ones() -> None:
    registry = Registry([], RegistryToml(datasets={"pets": make_dataset("pets")}))
    with pytest.raises(NameNotFound, match=r"no data set 'birds'; available: pets"):
        registry.get_dataset("birds")


@pytest.mark.parametrize(
    ("asked", "close"), [("hymenoptra", "hymenoptera"), ("acme/pet", "acme/pets"), ("Pest", "pets")]
)
def test_a_misspelled_data_set_is_suggested(asked: str, close: str) -> None:
    plugins = [make_plugin("acme", zoo_datasets=lambda: [make_dataset("acme/pets")])]
    registry = Registry(plugins, RegistryToml(datasets={"hymenoptera": make_dataset("hymenoptera")}))
    with pytest.raises(NameNotFound, match=f"Did you mean '{close}'") as caught:
        registry.get_dataset(asked)
    assert str(caught.value).endswith("Or pass a folder, a table or an archive.")


def test_a_name_unlike_all_data_sets_suggests_none() -> None:
    registry = Registry([], RegistryToml(datasets={"pets": make_dataset("pets")}))
    with pytest.raises(NameNotFound, match=r"available: pets\. Or pass"):
        registry.get_dataset("photos")
