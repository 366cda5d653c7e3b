from __future__ import annotations

import importlib.metadata

import pytest

from zoo_timm.catalog import Catalog, packaged_catalog


@pytest.fixture
def catalog() -> Catalog:
    return packaged_catalog()


@pytest.fixture(scope="session")
def cataloged_timm() -> None:
    """Skip a test that holds only for the version of timm that the catalog was generated from."""
    if packaged_catalog().upstream != f"timm=={importlib.metadata.version('timm')}":
        pytest.skip("the installed timm is not the version in the catalog")
