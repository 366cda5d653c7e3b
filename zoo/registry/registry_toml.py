"""What registry.toml says: the packaged one, then the user's, then the project's own, later layers winning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from zoo.errors import PluginError, SettingsError
from zoo.plugin import DatasetSpec

#: The fields of a ``[datasets.NAME]`` table.
DATASET_FIELDS = ("description", "url", "size", "sha256", "root", "license")


@dataclass(frozen=True)
class NamedRecipe:
    """Options of a run under a name."""

    #: What came of it where it was measured.
    expected: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class RegistryToml:
    """The merged layers of registry.toml."""

    #: Namespaces, in the order in which a bare name is looked for.
    order: tuple[str, ...] = ()
    #: From a short name to what it stands for.
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: By bare name.
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)
    #: By name.
    recipes: Mapping[str, NamedRecipe] = field(default_factory=dict)


def list_layers() -> list[Path]:
    """List the registry.toml files that exist, from the weakest to the strongest."""
    user = Path(click.get_app_dir("zoo")) / "registry.toml"
    return [path for path in (_packaged_file(), user, Path("registry.toml")) if path.is_file()]


def load_registry_toml(layers: list[Path] | None = None) -> RegistryToml:
    """Merge the layers.

    Raises:
        SettingsError: a file is not TOML, or holds a table, a key or a value that means nothing here.
    """
    merged = RegistryToml()
    for path in list_layers() if layers is None else layers:
        merged = _merge(merged, _read(path))
    return merged


def _packaged_file() -> Path:
    # In a wheel it lies in the package; in a checkout one folder above, where people look for it.
    inside = Path(__file__).with_name("registry.toml")
    return inside if inside.is_file() else Path(__file__).parents[2] / "registry.toml"


def _read(path: Path) -> RegistryToml:
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    _refuse_unknown(path, "table", content, ("resolve", "aliases", "datasets", "recipes"))
    resolve = _table(path, content, "resolve")
    _refuse_unknown(path, "key of [resolve]", resolve, ("order",))
    datasets, recipes = _table(path, content, "datasets"), _table(path, content, "recipes")
    return RegistryToml(
        order=_order(path, resolve),
        aliases=_aliases(path, _table(path, content, "aliases")),
        datasets={name: _dataset(path, name, _table(path, datasets, name)) for name in datasets},
        recipes={name: _recipe(path, name, _table(path, recipes, name)) for name in recipes},
    )


def _merge(below: RegistryToml, above: RegistryToml) -> RegistryToml:
    return RegistryToml(
        order=above.order or below.order,
        aliases={**below.aliases, **above.aliases},
        datasets={**below.datasets, **above.datasets},
        recipes={**below.recipes, **above.recipes},
    )


def _order(path: Path, resolve: Mapping[str, Any]) -> tuple[str, ...]:
    order = resolve.get("order", [])
    if not (isinstance(order, list) and all(isinstance(name, str) for name in order)):
        raise SettingsError(f"{path}: [resolve] order is {order!r}; it must be a list of plugin namespaces.")
    return tuple(order)


def _aliases(path: Path, aliases: Mapping[str, Any]) -> Mapping[str, str]:
    for name, target in aliases.items():
        if not isinstance(target, str):
            raise SettingsError(f"{path}: alias {name} is {target!r}; it must be the name that it stands for.")
    return aliases


def _dataset(path: Path, name: str, table: Mapping[str, Any]) -> DatasetSpec:
    if {"license", "licence"} <= table.keys():
        raise SettingsError(f"{path}: [datasets.{name}] has both license and licence, its old name; keep license only.")
    table = {"license" if key == "licence" else key: value for key, value in table.items()}  # the word of version 0.1
    _refuse_unknown(path, f"key of [datasets.{name}]", table, DATASET_FIELDS)
    if "url" not in table:
        raise SettingsError(f"{path}: [datasets.{name}] has no url; give the https://... of an archive.")
    try:
        return DatasetSpec(name=name, **{"description": name, "license": "unknown", **table})
    except PluginError as error:
        raise SettingsError(f"{path}: {error}") from error


def _recipe(path: Path, name: str, table: Mapping[str, Any]) -> NamedRecipe:
    """Read a recipe; its options are looked at where they are used, as flags are."""
    expected = table.get("expected", "")
    if not isinstance(expected, str):
        raise SettingsError(f"{path}: [recipes.{name}] expected is {expected!r}; it must be a text.")
    return NamedRecipe(expected, {key.replace("-", "_"): table[key] for key in table if key != "expected"})


def _table(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {name} is {table!r}; it must be a table.")
    return table


def _refuse_unknown(path: Path, what: str, found: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in found:
        if name not in known:
            raise SettingsError(f"{path}: unknown {what} {name!r}; known are {', '.join(known)}.")
