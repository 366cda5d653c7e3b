from __future__ import annotations

import importlib.metadata

import pytest

from zoo_timm.catalogue import Catalogue, packaged_catalogue


@pytest.fixture
def catalogue() -> Catalogue:
    return packaged_catalogue()


@pytest.fixture(scope="session")
def catalogued_timm() -> None:
    """Skip a test that holds only for the version of timm that the catalogue was made from."""
    if packaged_catalogue().upstream != f"timm=={importlib.metadata.version('timm')}":
        pytest.skip("the installed timm is not the version in the catalogue")
