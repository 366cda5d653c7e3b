"""The settings in registry.toml: the packaged file, the user's file and the project's file. Later files win."""

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
    """A named set of options of a run."""

    #: Result that was measured with these options.
    expected: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class RegistryToml:
    """The merged content of all registry.toml files."""

    #: Namespaces, in the order in which they are searched for a bare name.
    order: tuple[str, ...] = ()
    #: Full name of a backbone, with an optional tag, by alias.
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: Data sets by bare name.
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)
    #: Recipes by name.
    recipes: Mapping[str, NamedRecipe] = field(default_factory=dict)
    #: File that defines each data set, by bare name. Data sets of the packaged file are left out.
    defined_in: Mapping[str, Path] = field(default_factory=dict)


def list_layers() -> list[Path]:
    """Return the registry.toml files that exist. Each one overrides those before it."""
    user = Path(click.get_app_dir("zoo")) / "registry.toml"
    return [path for path in (_packaged_file(), user, Path("registry.toml")) if path.is_file()]


def load_registry_toml(layers: list[Path] | None = None) -> RegistryToml:
    """Read and merge registry.toml files.

    Args:
        layers: Files, each of which overrides those before it; None means those of `list_layers`.

    Raises:
        SettingsError: If a file cannot be read, is not valid TOML, or has an unknown table, an unknown key or an
            invalid value.
    """
    merged = RegistryToml()
    for path in list_layers() if layers is None else layers:
        merged = _merge(merged, _read(path), path)
    return merged


def _packaged_file() -> Path:
    # In a wheel, the file is in the package. In a checkout, it is in the root folder, where people look for it.
    inside = Path(__file__).with_name("registry.toml")
    return inside if inside.is_file() else Path(__file__).parents[2] / "registry.toml"


def _read(path: Path) -> RegistryToml:
    import tomllib  # listing backbones does not need it

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


def _merge(earlier: RegistryToml, later: RegistryToml, path: Path) -> RegistryToml:
    for name, spec in later.datasets.items():
        replaced = earlier.datasets.get(name)
        if replaced and replaced.sha256 and not spec.sha256 and name not in earlier.defined_in:
            raise SettingsError(
                f"{path}: [datasets.{name}] replaces zoo's own data set, which has a sha256, but has none itself; "
                "add its sha256, or use a different name."
            )
    own = {} if path == _packaged_file() else dict.fromkeys(later.datasets, path)
    return RegistryToml(
        defined_in={**earlier.defined_in, **own},
        order=later.order or earlier.order,
        aliases={**earlier.aliases, **later.aliases},
        datasets={**earlier.datasets, **later.datasets},
        recipes={**earlier.recipes, **later.recipes},
    )


def _order(path: Path, resolve: Mapping[str, Any]) -> tuple[str, ...]:
    order = resolve.get("order", [])
    if not (isinstance(order, list) and all(isinstance(name, str) for name in order)):
        raise SettingsError(f"{path}: [resolve] order is {order!r}; it must be a list of plugin namespaces.")
    return tuple(order)


def _aliases(path: Path, aliases: Mapping[str, Any]) -> Mapping[str, str]:
    for name, target in aliases.items():
        if not isinstance(target, str):
            raise SettingsError(f"{path}: alias {name} is {target!r}; it must be the name of a backbone.")
    return aliases


def _dataset(path: Path, name: str, table: Mapping[str, Any]) -> DatasetSpec:
    if {"license", "licence"} <= table.keys():
        raise SettingsError(f"{path}: [datasets.{name}] has both license and licence, its old name; keep license only.")
    # Version 0.1 called the key licence.
    table = {"license" if key == "licence" else key: value for key, value in table.items()}
    _refuse_unknown(path, f"key of [datasets.{name}]", table, DATASET_FIELDS)
    if "url" not in table:
        raise SettingsError(f"{path}: [datasets.{name}] has no url; add the https://... address of an archive.")
    try:
        return DatasetSpec(name=name, **{"description": name, "license": "unknown", **table})
    except PluginError as error:
        raise SettingsError(f"{path}: {error}") from error


def _recipe(path: Path, name: str, table: Mapping[str, Any]) -> NamedRecipe:
    """Read a recipe. Like flags, its options are checked when they are used."""
    expected = table.get("expected", "")
    if not isinstance(expected, str):
        raise SettingsError(f"{path}: [recipes.{name}] expected is {expected!r}; it must be a string.")
    return NamedRecipe(expected, {key.replace("-", "_"): table[key] for key in table if key != "expected"})


def _table(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {name} is {table!r}; it must be a table.")
    return table


def _refuse_unknown(path: Path, kind: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            raise SettingsError(f"{path}: unknown {kind} {name!r}; use one of {', '.join(known)}.")
