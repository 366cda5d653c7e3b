from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from zoo.errors import OptionError
from zoo.runs.export.export import export_run
from zoo.training.finetune import finetune

#: Backbones, and the files with their weights.
NETWORKS = {
    "torchvision/mobilenet_v2": "torchvision_mobilenet_v2",
    "timm/mobilenetv2_100": "timm_mobilenetv2_100",
    "torchvision/squeezenet1_1": "torchvision_squeezenet1_1",
}


@pytest.mark.breadth
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("format", ["timm", "transformers"])
@pytest.mark.parametrize("backbone", NETWORKS)
def test_upstream_gives_the_probabilities_of_the_run_for_all_validation_images_or_is_refused(
    assets: Path, tmp_path: Path, backbone: str, format: str
) -> None:
    if find_spec(format) is None:
        pytest.skip(f"{format} is not installed")
    weights = str(assets / "weights" / f"{NETWORKS[backbone]}.safetensors")
    data = assets / "data" / "hymenoptera_data"
    run = finetune(backbone, data, output=tmp_path / "run", weights=weights, epochs=1, device="cpu").path
    if backbone == "torchvision/squeezenet1_1":
        with pytest.raises(OptionError, match="timm is not known to have a network with the same weights as"):
            export_run(run, format)
        return
    export = export_run(run, format)
    assert (export.images, export.validation_images, export.reason) == (153, 153, "")
    images, tensors = export.parity["images"], export.parity["tensors"]
    assert images.same_top == images.predictions
    assert tensors.same_top == tensors.predictions
    assert tensors.difference < 1e-4
    assert json.loads((export.path / "export.json").read_text(encoding="utf-8"))["proved"] is True
