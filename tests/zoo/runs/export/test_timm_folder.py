from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from zoo.errors import OptionError
from zoo.models.build import build
from zoo.runs.export.export import export_run
from zoo.runs.export.timm_config import build_config
from zoo.runs.export.timm_folder import TWINS
from zoo.training.finetune import finetune

#: Loads a folder with timm alone, and prints its classes, its input and the logits of a fixed batch.
LOAD = """
import json, sys, timm, torch
model = timm.create_model(f"local-dir:{sys.argv[1]}", pretrained=True).eval()
assert not any(name == "zoo" or name.startswith("zoo.") for name in sys.modules)
cfg = timm.data.resolve_model_data_config(model)
images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
with torch.inference_mode():
    logits = model(images).tolist()
print(json.dumps({"labels": list(model.pretrained_cfg["label_names"]), "cfg": cfg, "logits": logits}))
"""


@pytest.mark.parametrize("name", ["torchvision/mobilenet_v2", "torchvision/resnet18", "torchvision/resnet50"])
def test_the_twin_in_timm_has_equal_logits(name: str) -> None:
    torch.manual_seed(0)
    ours = build(name, num_classes=3, weights="none").eval()
    theirs = timm.create_model(TWINS[name], num_classes=3).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


@pytest.mark.breadth
def test_timm_loads_the_run_folder_of_a_timm_backbone_in_a_fresh_process(photos: Path, tmp_path: Path) -> None:
    run = finetune(
        "timm/test_resnet", photos, output=tmp_path / "run", weights="none", epochs=1, device="cpu", workers=0
    ).path
    done = subprocess.run([sys.executable, "-c", LOAD, run], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["labels"] == ["blue", "red"]
    import zoo

    classifier = zoo.load(run, device="cpu")
    spec = classifier.header.input
    assert found["cfg"]["input_size"] == list(spec.size)
    assert found["cfg"]["mean"] == list(spec.mean)
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(classifier.model(images), torch.tensor(found["logits"]), atol=1e-5)


@pytest.mark.breadth
def test_an_export_for_timm_has_the_logits_of_the_run(photos: Path, tmp_path: Path) -> None:
    run = finetune(
        "timm/test_resnet", photos, output=tmp_path / "run", weights="none", epochs=1, device="cpu", workers=0
    ).path
    export = export_run(run, "timm")
    assert export.parity["tensors"].difference < 1e-4
    assert export.images == 10


@pytest.mark.parametrize("resize", [224, 232, 235, 236, 246, 248, 256, 292, 333])
def test_timm_resizes_to_the_same_number_of_pixels(resize: int) -> None:
    from dataclasses import replace

    from zoo.models.weights.header import Header
    from zoo.plugin import InputSpec
    from zoo_timm import zoo_find_backbone

    spec = zoo_find_backbone("resnet18")
    assert spec is not None
    header = Header("timm/resnet18", None, "linear", ("a", "b"), replace(InputSpec(), resize=resize), "none", "none")
    config = build_config("resnet18", header, spec)["pretrained_cfg"]
    transform = timm.data.create_transform(224, crop_pct=config["crop_pct"], interpolation="bilinear")
    assert transform.transforms[0].size == resize


def test_a_head_that_timm_lacks_is_refused(photos: Path, tmp_path: Path) -> None:
    run = finetune(
        "timm/test_resnet", photos, output=tmp_path / "run", weights="none", head="mlp:4", epochs=1, device="cpu",
        workers=0,
    ).path  # fmt: skip
    assert not (run / "config.json").exists()
    with pytest.raises(OptionError, match="`format` timm needs a linear head, because timm has no networks with the"):
        export_run(run, "timm")
