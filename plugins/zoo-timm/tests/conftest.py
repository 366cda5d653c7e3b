from __future__ import annotations

import pytest

from zoo_timm.catalogue import Catalogue, packaged_catalogue


@pytest.fixture
def catalogue() -> Catalogue:
    return packaged_catalogue()
