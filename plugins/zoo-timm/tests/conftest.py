from __future__ import annotations

import importlib.metadata

import pytest

from zoo_timm.catalogue import Catalogue, packaged_catalogue


@pytest.fixture
def catalog() -> Catalogue:
    return packaged_catalogue()


@pytest.fixture(scope="session")
def cataloged_timm() -> None:
    """Skip a test that holds only for the version of timm that the catalog was generated from."""
    if packaged_catalogue().upstream != f"timm=={importlib.metadata.version('timm')}":
        pytest.skip("the installed timm is not the version in the catalog")
