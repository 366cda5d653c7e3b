"""A checkpoint of a hub is trained, and plain transformers loads the run folder strictly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, TypeVar

import pytest
import safetensors.torch
import torch
from PIL import Image

from zoo.testing import Scope, check_backbone, examine
from zoo_transformers.building import Upstream
from zoo_transformers.catalog import packaged_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from loopback_hub import LoopbackHub
    from zoo.plugin import BackboneSpec, InputSpec
    from zoo_transformers.architecture import Architecture

Spec = TypeVar("Spec")
#: Loads a run folder with transformers alone, and prints what differs from the model, and the logits of an image.
LOAD = """
import json, sys
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification
from transformers.utils import logging
logging.disable_progress_bar()
model, info = AutoModelForImageClassification.from_pretrained(sys.argv[1], output_loading_info=True)
processor = AutoImageProcessor.from_pretrained(sys.argv[1])
with torch.no_grad():
    logits = model.eval()(**processor(Image.open(sys.argv[2]).convert("RGB"), return_tensors="pt")).logits
print(json.dumps([
    sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), model.config.id2label, logits.softmax(1)[0].tolist(),
]))
"""


def call(*command: str | Path, **environment: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ZOO_OFFLINE"))}
    own |= {"HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([sys.executable, *map(str, command)], env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with red and blue images."""
    for split, count in (("train", 3), ("val", 1)):
        for name, color in (("red", (250, 9, 9)), ("blue", (9, 9, 250))):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (40 + number, 36), color).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_a_checkpoint_of_a_hub_is_trained_and_transformers_loads_the_run(
    hub: LoopbackHub, small_vit: Architecture, photos: Path, tmp_path: Path
) -> None:
    upstream = Upstream(small_vit)
    upstream.build(None).save_pretrained(tmp_path / "published", config=None)
    files = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    hub.put("acme/vit", {**files, "preprocessor_config.json": json.dumps(processor).encode()})
    given = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "ZOO_CACHE": str(tmp_path / "cache")}
    run = tmp_path / "run"
    command = ("-m", "zoo", "finetune", "transformers/acme/vit", "--data", photos, "--output", run, "--epochs", "1")
    call(*command, "--device", "cpu", **given)
    image = photos / "val" / "red" / "0.png"
    missing, unexpected, labels, found = json.loads(call("-c", LOAD, run, image, HF_HUB_OFFLINE="1"))
    assert (missing, unexpected, labels) == ([], [], {"0": "blue", "1": "red"})
    predict = ("-m", "zoo", "predict", run, image, "--json", "--top", "2")
    top = json.loads(call(*predict, ZOO_OFFLINE="1", **given))[0]["top"]
    wanted = {each["label"]: each["probability"] for each in top}
    assert found == pytest.approx([wanted["blue"], wanted["red"]], abs=1e-3)


@pytest.mark.parametrize("name", ["resnet-18", "levit-128S", "swiftformer-xs", "pp_lcnet", "mobilevit-xx-small"])
def test_transformers_loads_the_files_of_a_run_strictly(name: str, tmp_path: Path) -> None:
    import transformers

    spec = packaged_catalog().backbones[name]
    source = packaged_catalog().entries[name].facts.architecture
    classes = ("cat", "dog", "owl")
    model = getattr(transformers, source.model)(Upstream(source).make_config(len(classes)))
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    write_files(spec.run_files(classes, spec.input), tmp_path)
    loaded, info = transformers.AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert (info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"]) == (set(), set(), set())
    assert type(loaded) is type(model)
    assert loaded.config.id2label == dict(enumerate(classes))
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def judge_files(spec: BackboneSpec, **changes: object) -> tuple[str, str]:
    """Return the result of the conformance kit for the files of a run; ``changes`` are keys of the configuration."""

    def run_files(classes: object, given: InputSpec) -> object:
        files = spec.run_files(classes, given)
        return {**files, "config.json": {**files["config.json"], **changes}}

    scope, plugin = Scope("meta", "build.files"), examine("transformers")
    results = check_backbone(plugin, change(spec, run_files=run_files), scope)
    return next((result.status, result.reason) for result in results if result.check == "build.files")


def test_the_kit_builds_the_network_of_a_run_with_transformers() -> None:
    spec = packaged_catalog().backbones["resnet-18"]
    assert judge_files(spec) == ("pass", "")
    status, reason = judge_files(spec, embedding_size=32)
    assert status == "fail"
    assert reason.startswith("transformers builds a different network from the files of run_files: ")
    status, reason = judge_files(spec, id2label={"0": "a", "1": "b"})
    assert status == "fail"
    assert reason.startswith("with the files of run_files, the classes in transformers are ['a', 'b'], not ['cat'")
    status, reason = judge_files(spec, model_type="rasnet")
    assert status == "fail"
    assert reason.startswith("with the files of run_files, transformers raises ValueError: ")
    assert "return files that it can load" in reason


def test_the_image_processor_of_a_run_prepares_images_like_the_run(tmp_path: Path) -> None:
    import transformers

    from zoo_transformers.processors import read_input

    spec = packaged_catalog().backbones["vit-base-patch16-224"]
    for given in (spec.input, change(spec.input, resize=64, size=(3, 64, 64)), change(spec.input, crop="center")):
        write_files(spec.run_files(("a", "b"), given), tmp_path)
        found = read_input(transformers.AutoImageProcessor.from_pretrained(tmp_path))
        assert change(found, min_size=given.min_size) == given


@pytest.mark.parametrize("name", ["swiftformer-xs", "clip-vit-base-patch32"])
def test_transformers_builds_the_network_of_a_run_with_other_channels(name: str) -> None:
    import transformers

    catalog = packaged_catalog()
    spec, source = catalog.backbones[name], catalog.entries[name].facts.architecture
    files = spec.run_files(("a", "b"), change(spec.input, size=(1, *spec.input.size[1:]), mean=(0.5,), std=(0.5,)))
    assert files.keys() == {"config.json"}
    with torch.device("meta"):
        model = getattr(transformers, source.model)(getattr(transformers, source.config)(**files["config.json"]))
    (path,) = spec.first_conv
    assert model.get_submodule(path).weight.shape[1] == 1


def test_an_input_that_no_image_processor_prepares_leaves_out_the_file() -> None:
    spec = packaged_catalog().backbones["vit-base-patch16-224"]
    assert spec.run_files(("a",), change(spec.input, crop="border")).keys() == {"config.json"}


def change(given: Spec, **changes: object) -> Spec:
    from dataclasses import replace

    return replace(given, **changes)


def write_files(files: object, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
