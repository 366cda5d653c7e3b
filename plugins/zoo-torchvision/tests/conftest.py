from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo.models.on_meta import parameters_on_meta
from zoo_torchvision import zoo_backbones

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from zoo.plugin import BackboneSpec

SPECS = {spec.name.removeprefix("torchvision/"): spec for spec in zoo_backbones()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that has an argument ``name`` with all backbones."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(SPECS))


@pytest.fixture(scope="session")
def specs() -> dict[str, BackboneSpec]:
    return SPECS


@pytest.fixture
def spec(name: str) -> BackboneSpec:
    return SPECS[name]


@pytest.fixture(scope="session")
def build_on_meta() -> Callable[..., nn.Module]:
    """Return a function that builds a backbone on the meta device, which takes no memory and hardly any time."""

    @cache
    def build(name: str, tag: str | None = None) -> nn.Module:
        with parameters_on_meta():
            return SPECS[name].build(tag).to("meta")  # moves the buffers

    return build


@pytest.fixture
def assets() -> Path:
    """Return the folder with real weights, or skip the test."""
    folder = os.environ.get("ZOO_TEST_ASSETS")
    if folder is None or not Path(folder, "weights").is_dir():
        pytest.skip("ZOO_TEST_ASSETS is not set, so there are no real weights")
    return Path(folder)
