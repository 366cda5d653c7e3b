from __future__ import annotations

import copy
import dataclasses
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo.models.build import Network
from zoo.models.head import replace_head
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign
from zoo.runs.folder import CARD, MODEL, RunFolder
from zoo.runs.model_card import write_card
from zoo.runs.model_file import make_header, save_model
from zoo_torchvision import zoo_backbones

TORCHVISION = {spec.name.removeprefix("torchvision/"): spec for spec in zoo_backbones()}
FACTS: dict[str, Any] = {
    "backbone": "acme/net",
    "weights": {"label": "ONE", "url": None, "license": "MIT"},
    "classes": ["ant", "bee", "cat"],
    "recipe": {"head": "linear", "train": "head"},
    "input": {
        "size": [3, 16, 24],
        "resize": 20,
        "crop": "center",
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    },
    "data": {"asked": "photos", "images": {"train": 24, "val": 10, "test": 0}},
    "params": {"total": 12345, "learning": 678},
    "frozen": {"before": "a" * 64, "after": "a" * 64},
    "best": {"epoch": 2, "val_accuracy": 0.9, "val_loss": 0.1},
    "val": {"images": 10},
    "epochs": 3,
}


@pytest.fixture
def facts() -> dict[str, Any]:
    return copy.deepcopy(FACTS)


def get_card(folder: Path, facts: dict[str, Any], backbone: BackboneSpec) -> str:
    write_card(RunFolder(folder), facts, backbone)
    return (folder / CARD).read_text(encoding="utf-8")


def get_code(card: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    return str(code)


def run_code(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Run the code of a card in the run folder, and return its model."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(code, names)  # Running the code is the point of the test.
    model: nn.Module = names["model"]
    return model


def save_run(folder: Path, spec: BackboneSpec) -> nn.Module:
    """Save a model with three classes, as a run does."""
    torch.manual_seed(0)
    model = spec.build(spec.default_weights.tag if spec.default_weights else None)
    head = replace_head(spec, model, 3, HeadDesign())
    network = Network(spec, WeightsSource("none"), HeadDesign(), model, head)
    save_model(model, make_header(network, FACTS["classes"]), folder / MODEL)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("squeezenet1_1", 64),
        ("mobilenet_v3_small", 32),
        ("googlenet", 64),
        ("shufflenet_v2_x0_5", 32),
    ],
)
def test_the_code_in_the_card_loads_the_file_without_zoo_and_returns_the_same_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], name: str, size: int
) -> None:
    spec = TORCHVISION[name]
    model = save_run(tmp_path, spec)
    facts["backbone"] = spec.name
    code = get_code(get_card(tmp_path, facts, spec))
    assert "zoo" not in code
    loaded = run_code(tmp_path, code, monkeypatch)
    images = torch.rand(2, 3, size, size)
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))


def test_the_code_for_every_torchvision_network_compiles(tmp_path: Path, facts: dict[str, Any]) -> None:
    for spec in TORCHVISION.values():
        if spec.constructor is None:
            continue
        facts["input"]["size"] = list(spec.input.size)
        code = get_code(get_card(tmp_path, facts, spec))
        compile(code, spec.name, "exec")
        assert f"torchvision.models.{spec.name.rpartition('/')[2]}(num_classes=3" in code


def test_only_mnasnet_gets_no_code_because_it_requires_a_version_number(tmp_path: Path, facts: dict[str, Any]) -> None:
    without = [spec for spec in TORCHVISION.values() if spec.constructor is None]
    assert {spec.family for spec in without} == {"mnasnet"}
    for spec in without:
        card = get_card(tmp_path, facts, spec)
        assert "without zoo" not in card
        assert "```python" not in card
        assert "## Use it\n" in card


def test_the_code_sets_the_image_size_of_a_vit(tmp_path: Path, facts: dict[str, Any]) -> None:
    facts["input"]["size"] = [3, 384, 384]
    assert "vit_b_16(num_classes=3, image_size=384)" in get_code(get_card(tmp_path, facts, TORCHVISION["vit_b_16"]))


def test_the_card_describes_the_model_its_accuracy_and_its_training(
    tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec
) -> None:
    card = get_card(tmp_path, facts, acme)
    assert "\n---\n\n# net for 3 classes\n" in card
    assert "`acme/net` (weights: ONE), fine-tuned for these classes: ant, bee, cat." in card
    assert "| validation | 10 | 0.9000 |" in card
    assert "| test" not in card
    assert (
        "678 of 12,345 parameters were\ntrained for 3 epochs on 24 images of\n`photos`. Epoch 2 was the best." in card
    )
    assert f"zoo predict {tmp_path.name} photo.jpg" in card
    assert "(license: MIT)" in card


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ä ö", "ä ö"),
        ("<b>bold", r"\<b\>bold"),
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("*_~", r"\*\_\~"),
        ("[x](y)", r"\[x\](y)"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_class_names_are_escaped_for_markdown(
    tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec, name: str, shown: str
) -> None:
    facts["classes"] = ["ant", name]
    card = get_card(tmp_path, facts, replace(acme, constructor="acme.net({num_classes})"))
    assert f"fine-tuned for these classes: ant, {shown}." in card
    assert f"in this order: ant, {shown}." in card


def test_the_test_accuracy_is_shown_if_there_is_a_test_split(
    tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec
) -> None:
    facts["test"] = {"images": 7, "accuracy": 0.75}
    assert "| test | 7 | 0.7500 |" in get_card(tmp_path, facts, acme)


@pytest.mark.parametrize("change", [{"constructor": None}, {"recipe": {"head": "mlp:4", "train": "head"}}])
def test_there_is_no_code_if_upstream_has_no_such_model(
    tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec, change: dict[str, Any]
) -> None:
    spec = acme if "constructor" in change else replace(acme, constructor="acme.net({num_classes})")
    facts |= {name: value for name, value in change.items() if name in facts}
    assert "```python" not in get_card(tmp_path, facts, spec)


def test_the_card_describes_the_preprocessing(tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec) -> None:
    card = get_card(tmp_path, facts, replace(acme, constructor="acme.net({num_classes})"))
    assert "import acme\n" in card
    assert "model = acme.net(3)\n" in card
    assert "resized (bilinear) so that the shorter side is 20 pixels, then center-cropped to\n24 x 16" in card
    assert "mean (0.5, 0.5, 0.5) and standard\ndeviation (0.25, 0.25, 0.25)" in card
    assert "in this order: ant, bee, cat." in card


def test_the_card_says_how_sixteen_bit_images_are_scaled(
    tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec
) -> None:
    spec = replace(acme, constructor="acme.net({num_classes})")
    assert "16-bit" not in get_card(tmp_path, facts, spec)
    facts["input"]["bits"] = 12
    assert "16-bit images are first divided by 2^4, and clipped to 255." in get_card(tmp_path, facts, spec)


@pytest.mark.parametrize(("license", "warns"), [("MIT", False), ("CC-BY-NC-4.0", True), ("unknown", True)])
def test_the_card_names_the_license_and_warns_of_restrictions(
    tmp_path: Path,
    facts: dict[str, Any],
    acme: BackboneSpec,
    license: str,
    *,
    warns: bool,
) -> None:
    facts["weights"]["license"] = license
    card = get_card(tmp_path, facts, acme)
    assert f"The initial weights were acme/net@ONE (license: {license})." in card
    assert ("**license: " in card) == warns


def test_random_weights_have_no_license(tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec) -> None:
    facts["weights"] = {"label": "none", "url": None, "license": None}
    assert "## License" not in get_card(tmp_path, facts, acme)


def test_the_code_imports_torch_once(tmp_path: Path, facts: dict[str, Any], acme: BackboneSpec) -> None:
    facts["input"]["size"] = [1, 16, 16]
    spec = dataclasses.replace(
        acme,
        head=("fc",),
        classifier=None,
        features=16,
        first_conv="stem.0",
        constructor="import torch\nmodel = torch.nn.Identity()",
    )
    assert get_code(get_card(tmp_path, facts, spec)).splitlines().count("import torch") == 1


def test_the_lines_of_a_constructor_are_the_code_of_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]
) -> None:
    lines = (
        "\nfrom torchvision import models\n\nbuild = models.squeezenet1_1\nmodel = build(num_classes={num_classes})\n"
    )
    spec = dataclasses.replace(TORCHVISION["squeezenet1_1"], constructor=lines)
    model = save_run(tmp_path, spec)
    code = get_code(get_card(tmp_path, facts, spec))
    assert code.splitlines()[:4] == [
        "from torchvision import models",
        "from safetensors.torch import load_file",
        "",
        "build = models.squeezenet1_1",
    ]
    loaded = run_code(tmp_path, code, monkeypatch)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))
