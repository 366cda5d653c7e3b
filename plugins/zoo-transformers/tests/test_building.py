"""Building and converting work offline and print nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

from zoo_transformers.building import Upstream, prepare_image
from zoo_transformers.processors import make_processor

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_transformers.architecture import Architecture
    from zoo_transformers.catalog import Catalog


def save_as_upstream(architecture: Architecture, folder: Path, labels: int) -> dict[str, torch.Tensor]:
    """Return the tensors of a file that transformers itself writes, which uses the names of older versions."""
    import safetensors.torch
    import transformers

    upstream = Upstream(architecture)
    getattr(transformers, architecture.model)(upstream.make_config(labels)).save_pretrained(folder)
    return safetensors.torch.load_file(folder / "model.safetensors")


def test_building_prints_nothing(catalog: Catalog, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("resnet-18", "metaclip_2"):
        with torch.device("meta"):
            catalog.backbones[name].build(None)
    assert capfd.readouterr() == ("", "")


def test_convert_renames_the_tensors_of_older_versions(small_vit: Architecture, tmp_path: Path) -> None:
    tensors = save_as_upstream(small_vit, tmp_path, 5)
    upstream = Upstream(small_vit, labels=5)
    converted = upstream.convert("any", tensors)
    assert converted.keys() == upstream.build(None).state_dict().keys()
    assert converted["classifier.weight"].shape == (5, 32)
    assert torch.equal(converted["classifier.weight"], tensors["classifier.weight"])


def test_a_file_without_a_head_is_converted_without_one(small_vit: Architecture, tmp_path: Path) -> None:
    tensors = save_as_upstream(small_vit, tmp_path, 5)
    plain = {name.removeprefix("vit."): tensor for name, tensor in tensors.items() if "classifier" not in name}
    upstream = Upstream(small_vit, labels=None)
    assert upstream.build(None).state_dict().keys() - upstream.convert("any", plain).keys() == {
        "classifier.weight",
        "classifier.bias",
    }


def test_convert_prints_nothing_and_does_not_change_its_input(
    small_vit: Architecture, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tensors = save_as_upstream(small_vit, tmp_path, 1000)
    capfd.readouterr()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    Upstream(small_vit).convert("any", tensors)
    assert capfd.readouterr() == ("", "")
    assert tensors.keys() == before.keys()
    assert all(torch.equal(tensors[name], before[name]) for name in before)


def test_convert_refuses_tensors_of_a_different_network(small_vit: Architecture) -> None:
    with pytest.raises(ValueError, match=r"do not match ViTForImageClassification: .* more are missing"):
        Upstream(small_vit).convert("any", {"features.0.weight": torch.zeros(1)})


def test_convert_refuses_tensors_of_other_shapes(small_vit: Architecture, tmp_path: Path) -> None:
    tensors = save_as_upstream(small_vit, tmp_path, 1000)
    tensors["classifier.weight"] = torch.zeros(1000, 5)
    with pytest.raises(ValueError, match="do not match ViTForImageClassification"):
        Upstream(small_vit).convert("any", tensors)


def test_a_model_interpolates_its_positions_for_other_image_sizes(small_vit: Architecture) -> None:
    model = Upstream(small_vit).build(None).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, 64, 48)).logits.shape == (2, 1000)
        images = torch.rand(2, 3, 32, 32)
        wanted = model.classifier(model.vit(images).last_hidden_state[:, 0])
        assert torch.equal(model(images).logits, wanted)


def test_a_model_trained_with_bgr_images_accepts_rgb_images(catalog: Catalog) -> None:
    architecture = catalog.entries["mobilevit-xx-small"].facts.architecture
    upstream = Upstream(architecture)
    with torch.device("meta"):
        assert upstream.build(None)._forward_pre_hooks
    image = Image.new("RGB", (300, 300), (255, 0, 0))
    prepared = prepare_image(make_processor(architecture), image)
    assert prepared.mean(dim=(1, 2)).tolist() == [1, 0, 0]
    upstreams = make_processor(architecture)(images=image, return_tensors="pt")["pixel_values"][0]
    assert upstreams.mean(dim=(1, 2)).tolist() == [0, 0, 1]
