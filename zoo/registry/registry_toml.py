"""The settings in the packaged registry.toml file, the user's and the project's. Later files take precedence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from zoo.errors import PluginError, SettingsError
from zoo.files.paths import accessing
from zoo.plugin import DatasetSpec

#: The tables of a registry.toml.
_TABLES = ("resolve", "aliases", "datasets", "recipes")
#: The fields of a ``[datasets.NAME]`` table.
DATASET_FIELDS = ("description", "url", "size", "sha256", "root", "source", "license", "citation")


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
    #: File that defines each data set, by bare name. Data sets in the packaged file are not included.
    defined_in: Mapping[str, Path] = field(default_factory=dict)


def list_layers() -> list[Path]:
    """Return the registry.toml files that exist. Each one overrides the previous ones."""
    user = Path(click.get_app_dir("zoo")) / "registry.toml"
    return [path for path in (_packaged_file(), user, Path("registry.toml")) if _is_file(path)]


def load_registry_toml(layers: list[Path] | None = None) -> RegistryToml:
    """Read and merge registry.toml files.

    Args:
        layers: Files, each of which overrides the previous ones; None means the files from `list_layers`.

    Raises:
        SettingsError: If a file cannot be read, is not valid TOML, or has an unknown table, an unknown key or an
            invalid value.
    """
    merged = RegistryToml()
    for path in list_layers() if layers is None else layers:
        merged = _merge(merged, _read(path), path)
    return merged


def _is_file(path: Path) -> bool:
    with accessing(path, SettingsError, "change its permissions or remove it"):
        return path.is_file()


def _packaged_file() -> Path:
    # In a wheel, the file is in the package. In a checkout, it is in the root folder, where people look for it.
    inside = Path(__file__).with_name("registry.toml")
    return inside if inside.is_file() else Path(__file__).parents[2] / "registry.toml"


def _read(path: Path) -> RegistryToml:
    content = _parse(path)
    for table in content:
        if table not in _TABLES:
            raise SettingsError(f"{path}: unknown table {table!r}; use one of {', '.join(_TABLES)}.")
        if not isinstance(content[table], dict):
            raise SettingsError(f"{path}: {table} is {content[table]!r:.80}; it must be a table.")
        for key, value in content[table].items():
            _check_entry(path, table, key, value)
    datasets, recipes = content.get("datasets", {}), content.get("recipes", {})
    return RegistryToml(
        order=tuple(content.get("resolve", {}).get("order", ())),
        aliases=content.get("aliases", {}),
        datasets={name: _dataset(path, name, table) for name, table in datasets.items()},
        recipes={name: _recipe(path, name, table) for name, table in recipes.items()},
    )


def _parse(path: Path) -> dict[str, Any]:
    from zoo.files.validation import Invalid, read_toml  # Listing backbones needs neither tomllib nor msgspec.

    try:
        return read_toml(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Invalid as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error


def _check_entry(path: Path, table: str, key: str, value: Any) -> None:
    """Raise SettingsError if a key of a table is unknown, or if its value has a wrong type or is not printable."""
    from zoo.files.data_schema import Name
    from zoo.files.registry_schema import REGISTRY_TABLES
    from zoo.files.validation import Invalid, check

    is_table = table in ("datasets", "recipes")
    place = f"[{table}.{key[:80]}]" if is_table else f"[{table}] {key[:80]}"
    try:
        _refuse_unprintable({key: value})
        if table == "resolve":
            _refuse_unknown({key: value}, ("order",))
        if table == "datasets" and isinstance(value, dict):
            _refuse_unknown(value, (*DATASET_FIELDS, "licence"))
        check(key, Name)
        check(value, REGISTRY_TABLES[table])
    except (Invalid, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SettingsError(f"{path}: {_join(place, reason)}.") from error


def _join(place: str, reason: str) -> str:
    """Join a place and a reason such as ``Expected `int`, got `str` - at `$.size` ``."""
    reason, _, inner = reason.partition(" - at `$")
    return f"{place}{inner.rstrip('`').replace('.', ' ', 1)}: {reason}"


def _merge(earlier: RegistryToml, later: RegistryToml, path: Path) -> RegistryToml:
    for name, spec in later.datasets.items():
        replaced = earlier.datasets.get(name)
        if replaced and _is_verified(replaced) and not _is_verified(spec):
            place = earlier.defined_in.get(name, "zoo's own registry.toml")
            raise SettingsError(
                f"{path}: [datasets.{name}] has no sha256, but replaces a data set whose download is verified, from "
                f"{place}; add its sha256, or use a different name."
            )
    own = {} if path == _packaged_file() else dict.fromkeys(later.datasets, path)
    return RegistryToml(
        defined_in={**earlier.defined_in, **own},
        order=later.order or earlier.order,
        aliases={**earlier.aliases, **later.aliases},
        datasets={**earlier.datasets, **later.datasets},
        recipes={**earlier.recipes, **later.recipes},
    )


def _is_verified(spec: DatasetSpec) -> bool:
    """Return whether the digest of a data set's files is known. torchvision has those of its data sets."""
    return spec.sha256 is not None or (spec.source or "").startswith("torchvision:")


def _dataset(path: Path, name: str, table: Mapping[str, Any]) -> DatasetSpec:
    if {"license", "licence"} <= table.keys():
        raise SettingsError(f"{path}: [datasets.{name}] has both license and licence, its old name; keep license only.")
    # Version 0.1 called the key licence.
    table = {"license" if key == "licence" else key: value for key, value in table.items()}
    if not {"url", "source"} & table.keys():
        raise SettingsError(
            f"{path}: [datasets.{name}] has no url; add the https://... URL of an archive, or a source such as "
            "torchvision:Flowers102."
        )
    try:
        return DatasetSpec(name=name, **{"description": name, "license": "unknown", **table})
    except PluginError as error:
        raise SettingsError(f"{path}: {error}") from error


def _recipe(path: Path, name: str, table: Mapping[str, Any]) -> NamedRecipe:
    """Read a recipe. Like flags, its options are checked when they are used."""
    options = {key.replace("-", "_"): table[key] for key in table if key != "expected"}
    for key in table:
        if "-" in key and key.replace("-", "_") in table:
            raise SettingsError(f"{path}: [recipes.{name}] has both {key} and {key.replace('-', '_')}; keep one.")
    return NamedRecipe(table.get("expected", ""), options)


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    from zoo.files.validation import Invalid

    for name in table:
        if name not in known:
            raise Invalid(f"unknown key {name!r:.80}; use one of {', '.join(known)}")


def _refuse_unprintable(value: Any) -> None:
    """Refuse line breaks and control characters, which could forge the output of a command."""
    from zoo.files.validation import Invalid

    if isinstance(value, str) and not value.isprintable():
        raise Invalid(f"{value[:80]!r} has unprintable characters")
    for inner in (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_unprintable(inner)
