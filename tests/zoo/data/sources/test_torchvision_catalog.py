"""The listed data sets of torchvision exist, and torchvision checks everything that it downloads for them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

import pytest
from torchvision import datasets
from torchvision.datasets.folder import DatasetFolder
from torchvision.datasets.vision import VisionDataset

from zoo.data.sources.torchvision_catalog import CATALOG, find_entry
from zoo.errors import DataError


def list_downloads(name: str) -> Iterator[ast.Call]:
    """Yield the calls that download a file in the code of a class and the classes that it extends."""
    for part in getattr(datasets, name).__mro__:
        if part.__module__.startswith("torchvision") and part not in (VisionDataset, DatasetFolder):
            for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(part)))):
                called = getattr(node, "func", None)
                if isinstance(node, ast.Call) and getattr(called, "id", "").startswith("download_"):
                    yield node


def has_md5(call: ast.Call) -> bool:
    position = {"download_url": 3, "download_and_extract_archive": 4}[call.func.id]  # type: ignore[attr-defined]
    return any(keyword.arg == "md5" for keyword in call.keywords) or len(call.args) > position


@pytest.mark.parametrize("name", CATALOG)
def test_every_download_of_a_listed_data_set_is_compared_with_an_md5(name: str) -> None:
    calls = list(list_downloads(name))
    assert calls
    assert all(has_md5(call) for call in calls)


def test_a_download_without_an_md5_is_noticed() -> None:
    assert not all(has_md5(call) for call in list_downloads("FGVCAircraft"))
    assert "FGVCAircraft" not in CATALOG


@pytest.mark.parametrize("name", CATALOG)
def test_the_arguments_of_a_listed_data_set_exist(name: str) -> None:
    entry = CATALOG[name]
    known = inspect.signature(getattr(datasets, name).__init__).parameters
    wanted = {argument for arguments in entry.splits.values() for argument in arguments} | {"download"}
    assert wanted <= known.keys()
    assert ("loader" in known) == (entry.reads == "loader")
    assert entry.needs_scipy == ("scipy" in inspect.getsource(getattr(datasets, name)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ImageNet", "the data sets are CIFAR10, CIFAR100, "),
        ("CIFAR10:fine", "after torchvision:CIFAR10, write nothing"),
        ("OxfordIIITPet:segmentation", "write one of category, binary-category"),
        ("OxfordIIITPet:", "write one of category, binary-category"),
        ("__doc__", "the data sets are"),
    ],
)
def test_names_that_zoo_cannot_use_are_refused(value: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_entry(value)
