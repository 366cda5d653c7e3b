"""Any image classifier on a hub is found by its repository. Nothing in a repository is run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from zoo.plugin import InputSpec
from zoo_transformers.find import find_backbone

if TYPE_CHECKING:
    from loopback_hub import LoopbackHub
    from zoo_transformers.catalog import Catalog

#: A small ViT: the configuration of a checkpoint on the Hub.
VIT = {
    "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 8,
    "id2label": {"0": "cat", "1": "dog", "2": "owl"},
}  # fmt: skip
PROCESSOR = {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "image_mean": [0.4, 0.4, 0.4]}


def put(hub: LoopbackHub, config: Any, processor: Any = None, name: str = "acme/vit") -> None:
    files = {"config.json": json.dumps(config).encode()}
    if processor is not None:
        files["preprocessor_config.json"] = json.dumps(processor).encode()
    hub.put(name, files)


def test_the_repository_of_a_listed_backbone_needs_no_hub(hub: LoopbackHub, catalog: Catalog) -> None:
    assert find_backbone("google/vit-base-patch16-224") is catalog.backbones["vit-base-patch16-224"]
    assert hub.requests == []


def test_an_unlisted_repository_is_described_by_its_two_files(hub: LoopbackHub) -> None:
    put(hub, VIT, PROCESSOR)
    spec = find_backbone("acme/vit")
    assert spec is not None
    assert (spec.name, spec.family, spec.head) == ("transformers/acme/vit", "vit", ("classifier",))
    assert [block.name for block in spec.blocks] == ["stem", "layers.0", "layers.1", "layernorm"]
    (weights,) = spec.weights
    assert (weights.tag, weights.url) == ("acme", "hf://acme/vit/model.safetensors")
    assert (weights.num_classes, weights.license) == (3, "unknown")
    assert spec.input == InputSpec(
        size=(3, 32, 32), resize=32, crop="squash", mean=(0.4, 0.4, 0.4), std=(0.5, 0.5, 0.5), min_size=32
    )
    assert spec.build(None).config.num_labels == 1000
    assert {path.rpartition("/")[2] for _, path in hub.requests if "/resolve/" in path} == {
        "config.json", "preprocessor_config.json",
    }  # fmt: skip


def test_a_base_model_has_no_usable_head(hub: LoopbackHub) -> None:
    put(hub, {**VIT, "architectures": ["ViTModel"]}, PROCESSOR)
    spec = find_backbone("acme/vit")
    assert spec is not None
    assert spec.weights[0].num_classes is None


def test_without_a_preprocessor_config_the_defaults_of_the_image_processor_count(hub: LoopbackHub) -> None:
    put(hub, {**VIT, "image_size": 224})
    spec = find_backbone("acme/vit")
    assert spec is not None
    assert (spec.input.size, spec.input.mean) == ((3, 224, 224), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("name", ["", "vit", "a/b/c", "../vit", "acme/..", "acme/vit name"])
def test_other_names_are_not_looked_up(hub: LoopbackHub, name: str) -> None:
    assert find_backbone(name) is None
    assert hub.requests == []


def test_a_repository_that_does_not_exist_is_not_found(hub: LoopbackHub) -> None:
    assert find_backbone("acme/none") is None
    assert hub.requests != []


@pytest.mark.parametrize("file", ["config", "preprocessor"])
def test_a_repository_that_needs_its_own_code_is_refused(hub: LoopbackHub, file: str) -> None:
    code = {"auto_map": {"AutoModelForImageClassification": "modeling.Net"}}
    put(hub, {**VIT, **(code if file == "config" else {})}, {**PROCESSOR, **(code if file == "preprocessor" else {})})
    with pytest.raises(ValueError, match=r"acme/vit needs code from its repository \(trust_remote_code\)"):
        find_backbone("acme/vit")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "model_type 'bert', for which transformers has no image classifier"),
        ({"model_type": None}, "model_type None"),
        ({"model_type": ["vit"]}, r"model_type \['vit'\]"),
        ({"model_type": "timm_wrapper"}, "builds networks of timm, which zoo-timm provides"),
        ({"quantization_config": {"bits": 4}}, "quantized weights"),
    ],
)
def test_what_zoo_cannot_build_is_refused_with_the_reason(hub: LoopbackHub, changes: Any, message: str) -> None:
    put(hub, {**VIT, **changes}, PROCESSOR)
    with pytest.raises(ValueError, match=message):
        find_backbone("acme/vit")


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ({**PROCESSOR, "feature_extractor_type": "Nothing"}, "image processor 'Nothing'"),
        ({**PROCESSOR, "resample": 1}, "no interpolation for resample=1"),
        ({**PROCESSOR, "do_resize": False}, "cannot resize images"),
        ({**PROCESSOR, "rescale_factor": 1}, "cannot scale pixels by 1"),
        ({**PROCESSOR, "size": {"height": 32, "width": 48}}, "cannot resize images"),
    ],
)
def test_images_that_zoo_cannot_prepare_are_refused_with_the_reason(
    hub: LoopbackHub, processor: Any, message: str
) -> None:
    put(hub, VIT, processor)
    with pytest.raises(ValueError, match=message):
        find_backbone("acme/vit")


@pytest.mark.parametrize("content", [b"[]", b"nonsense", b"\xff", b"[" * 100_000])
def test_a_damaged_configuration_is_an_error(hub: LoopbackHub, content: bytes) -> None:
    hub.put("acme/vit", {"config.json": content})
    with pytest.raises(ValueError, match=r"config\.json of acme/vit"):
        find_backbone("acme/vit")


def test_offline_the_cache_is_used(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, VIT, PROCESSOR)
    online = find_backbone("acme/vit")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    hub.requests.clear()
    offline = find_backbone("acme/vit")
    assert online is not None
    assert offline is not None
    assert (offline.blocks, offline.input) == (online.blocks, online.input)
    assert hub.requests == []
    with pytest.raises(OSError, match=r"config\.json of acme/other is not in the cache"):
        find_backbone("acme/other")
