from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback_hub import LoopbackHub, open_hub

# The plugin and transformers are not part of the default installation, because transformers needs over 100 MB.
pytest.importorskip("zoo_transformers", reason="the plugin is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from zoo_transformers.architecture import Architecture
from zoo_transformers.catalog import Catalog, packaged_catalog

#: A small ViT: the configuration of a checkpoint on the Hub.
VIT = {
    "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 8,
}  # fmt: skip
PROCESSOR = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}


@pytest.fixture
def catalog() -> Catalog:
    return packaged_catalog()


@pytest.fixture(scope="session")
def cataloged_transformers() -> None:
    """Skip a test that holds only for the version of transformers that the catalog was generated from."""
    if packaged_catalog().upstream != f"transformers=={importlib.metadata.version('transformers')}":
        pytest.skip("the installed transformers is not the version in the catalog")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub on loopback, with an empty cache folder of huggingface_hub."""
    from huggingface_hub import constants

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of the Hub, besides LFS
    with open_hub() as opened:
        monkeypatch.setattr(constants, "ENDPOINT", opened.url)
        template = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{opened.url}/{template}")
        yield opened


@pytest.fixture
def small_vit() -> Architecture:
    values = {key: value for key, value in VIT.items() if key not in {"model_type", "architectures"}}
    preprocessing = {"size": {"height": 32, "width": 32}}
    return Architecture(
        "ViTForImageClassification", "ViTConfig", values, "ViTImageProcessor", preprocessing, "interpolated"
    )
