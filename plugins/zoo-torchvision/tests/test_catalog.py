from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pluggy
import pytest

import zoo_torchvision
from zoo.plugin import API_VERSION, Hooks, InputSpec
from zoo_torchvision.catalog import CATALOG, load_catalog
from zoo_torchvision.make_catalog import format_catalog, make_catalog

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec

UPSTREAM = load_catalog()["upstream"]
INSTALLED = f"torchvision=={version('torchvision').partition('+')[0]}"


same_upstream = pytest.mark.skipif(
    INSTALLED != UPSTREAM, reason=f"the catalog was generated from {UPSTREAM}, but {INSTALLED} is installed"
)


@same_upstream
def test_the_catalog_equals_one_generated_from_the_installed_torchvision() -> None:
    assert format_catalog(make_catalog()) == CATALOG.read_text(encoding="utf-8")


@same_upstream
def test_every_classification_builder_is_listed(specs: dict[str, BackboneSpec]) -> None:
    from torchvision import models

    assert set(specs) == set(models.list_models(module=models))
    assert len(specs) == 80
    assert not any("quantized" in name for name in specs)


def test_pluggy_accepts_the_hooks(specs: dict[str, BackboneSpec]) -> None:
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    manager.register(zoo_torchvision)
    manager.check_pending()
    assert manager.hook.zoo_backbones() == [tuple(specs.values())]
    assert zoo_torchvision.ZOO_API == API_VERSION


def test_listing_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, zoo_torchvision\n"
        "assert len(zoo_torchvision.zoo_backbones()) == 80\n"
        "print(sorted({'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_default_weights_come_first(spec: BackboneSpec, name: str) -> None:
    from torchvision.models import get_model_weights

    available = get_model_weights(name)
    assert spec.weights[0].tag == available.DEFAULT.name
    assert {weights.tag for weights in spec.weights} == {weights.name for weights in available}


def test_every_file_has_a_url_and_a_hash(spec: BackboneSpec) -> None:
    for weights in spec.weights:
        assert weights.url
        assert weights.url.startswith("https://download.pytorch.org/models/")
        assert weights.sha256
        assert weights.sha256 in weights.url
        assert weights.size
        assert spec.upstream == UPSTREAM


def test_size_agrees_with_the_three_decimals_that_upstream_publishes(spec: BackboneSpec, name: str) -> None:
    from torchvision.models import get_model_weights

    for weights in spec.weights:
        assert round(weights.size / 1024**2, 3) == get_model_weights(name)[weights.tag].meta["_file_size"]


def test_only_swag_weights_are_non_commercial(spec: BackboneSpec) -> None:
    for weights in spec.weights:
        assert weights.license == ("CC-BY-NC-4.0" if "SWAG" in weights.tag else "BSD-3-Clause")


def test_the_input_is_the_one_that_the_weights_were_trained_with(specs: dict[str, BackboneSpec]) -> None:
    resnet, efficientnet, vit = specs["resnet50"], specs["efficientnet_v2_l"], specs["vit_b_16"]
    assert resnet.input == InputSpec(resize=232, min_size=1)  # V2, the default
    assert {weights.tag: weights.input for weights in resnet.weights} == {
        "IMAGENET1K_V2": None,
        "IMAGENET1K_V1": InputSpec(resize=256, min_size=1),
    }
    assert efficientnet.input.mean == efficientnet.input.std == (0.5, 0.5, 0.5)
    assert (efficientnet.input.size, efficientnet.input.interpolation) == ((3, 480, 480), "bicubic")
    assert {weights.tag: (weights.input or vit.input).size[1] for weights in vit.weights} == {
        "IMAGENET1K_V1": 224,
        "IMAGENET1K_SWAG_E2E_V1": 384,
        "IMAGENET1K_SWAG_LINEAR_V1": 224,
    }


def test_vgg16_features_have_no_usable_head(specs: dict[str, BackboneSpec]) -> None:
    features = {weights.tag: weights for weights in specs["vgg16"].weights}["IMAGENET1K_FEATURES"]
    assert (features.num_classes, features.lacks, features.accuracy) == (None, ("classifier",), None)
    assert features.input
    assert features.input.mean == (0.48235, 0.45882, 0.40784)
    assert features.input.std == (1 / 255, 1 / 255, 1 / 255)
