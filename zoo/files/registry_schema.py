"""Types of the tables of a registry.toml. Because people write this file, an unknown key is an error."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from zoo.files.data_schema import Name, Positive


class DatasetTable(TypedDict, total=False):
    """A ``[datasets.NAME]`` table of a registry.toml. The spec that is created from it checks the values."""

    description: Name
    url: Name
    size: Positive
    sha256: Name
    root: Name
    source: Name
    license: Name
    citation: Name


class RecipeTable(TypedDict, total=False):
    """The listed key of a ``[recipes.NAME]`` table of a registry.toml. The other keys are options of a run."""

    expected: Annotated[str, Meta(max_length=1000)]


#: Types of the values in each table of a registry.toml.
REGISTRY_TABLES: dict[str, Any] = {
    "resolve": Annotated[list[Name], Meta(max_length=1000)],
    "aliases": Name,
    "datasets": DatasetTable,
    "recipes": RecipeTable,
}
