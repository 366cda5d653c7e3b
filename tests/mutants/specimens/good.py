"""A plugin whose backbones keep every promise, and claim every capability that they have."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specimens.upstream import build_preprocessing
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, SourceSpec, WeightsSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

ZOO_API = 2

INPUT = InputSpec(size=(3, 16, 16), resize=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
BLOCKS = (
    BlockSpec("stem", ("stem",)),
    BlockSpec("layer1", ("layer1",)),
    BlockSpec("layer2", ("layer2",)),
    BlockSpec("hidden", ("classifier.0",)),
)
TOKEN_BLOCKS = (
    BlockSpec("stem", ("patches", "class_token", "other_token", "position")),
    BlockSpec("layer0", ("layers.0",)),
    BlockSpec("layer1", ("layers.1",)),
    BlockSpec("norm", ("norm",)),
)
AUX = BlockSpec("aux", ("aux",))
#: Logits of the generated image with the generated weights.
LOGITS = (4.2089, 2.3882, -3.2110)
#: Features of the same image, which are the input of the head.
FEATURES = (8.0229, 0.0, 2.0606)


def locate(file: str) -> str:
    """Return the URL of a file in the folder where the plugin is installed."""
    return Path(str(importlib.metadata.distribution("zoo-good").locate_file(file))).as_uri()


def declare_weights(file: str = "good.safetensors", **changes: Any) -> WeightsSpec:
    facts: dict[str, Any] = {"tag": "V1", "url": locate(file), "license": "MIT", "num_classes": 10}
    return WeightsSpec(**{**facts, **changes})


def declare_tower_weights(file: str = "headless.safetensors", **changes: Any) -> WeightsSpec:
    """Declare the good weights without a head."""
    return declare_weights(file, **{"num_classes": None, **changes})


def declare_conv(name: str, **changes: Any) -> BackboneSpec:
    """Declare the network that most mutants derive from, without claims or weights."""

    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import ConvNet

        return ConvNet()

    facts: dict[str, Any] = {"family": "conv", "build": build, "head": ("classifier.3",), "blocks": BLOCKS}
    facts |= {"params": 2374, "num_classes": 10, "license": "MIT", "input": INPUT}
    return BackboneSpec(name=name, **{**facts, **changes})


def declare_aux(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import AuxNet

        return AuxNet()

    facts: dict[str, Any] = {"build": build, "params": 2464, "aux_heads": ("aux.2",), "aux_weight": 0.3}
    return declare_conv(name, **{**facts, **changes})


def declare_masked(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import MaskNet

        return MaskNet()

    blocks = (BlockSpec("stem", ("stem", "mask", "token")), *BLOCKS[1:])
    facts: dict[str, Any] = {"build": build, "params": 2398, "blocks": blocks, "fixed": ("mask",), "unused": ("token",)}
    return declare_conv(name, **{**facts, **changes})


def declare_tokens(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import TokenNet

        return TokenNet()

    facts: dict[str, Any] = {"build": build, "params": 3748, "head": ("head", "other_head"), "blocks": TOKEN_BLOCKS}
    return declare_conv(name, **{**facts, **changes})


def declare_linear(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import LinearNet

        return LinearNet()

    blocks = BlockSpec("first", ("first",)), BlockSpec("second", ("second",))
    facts: dict[str, Any] = {"build": build, "params": 6314, "head": ("fc",), "blocks": blocks}
    return declare_conv(name, **{**facts, **changes})


def declare_squeeze(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import SqueezeNet

        return SqueezeNet()

    facts: dict[str, Any] = {"build": build, "params": 1610, "head": ("head",), "blocks": BLOCKS[:2]}
    facts |= {"unsupported": {"cached_features": "a ReLU follows its head"}}
    return declare_conv(name, **{**facts, **changes})


def declare_fields(name: str, **changes: Any) -> BackboneSpec:
    """Declare the network that most mutants derive from; its output is an object."""

    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import FieldNet

        return FieldNet()

    return declare_conv(name, **{"build": build, "output_field": "logits", **changes})


def declare_tower(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import TowerNet

        return TowerNet()

    facts: dict[str, Any] = {"build": build, "features": 12, "head": ("fc",), "params": 2244}
    return declare_conv(name, **{**facts, **changes})


def declare_field_tower(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import FieldTowerNet

        return FieldTowerNet()

    return declare_tower(name, **{"build": build, "output_field": "features", **changes})


def declare_scaled(name: str, **changes: Any) -> BackboneSpec:
    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import ScaledNet

        return ScaledNet()

    return declare_conv(name, **{"build": build, "head_parameters": ("logit_scale",), "params": 2375, **changes})


def declare_valued(name: str, **changes: Any) -> BackboneSpec:
    """Declare a network whose builder and forward pass read values, so that it needs the CPU."""

    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import ConvNet

        model = ConvNet()
        assert model.stem[0].weight.mean().item() < 1
        model.add("pool", lambda features: features if features.max().item() < 1e9 else features.clamp(max=1e9))
        return model

    constructor = "import torch\nfrom specimens.networks import ConvNet\n\nmodel = ConvNet({num_classes})\n"
    facts = {"build": build, "unsupported": {"meta": "it reads values"}, "constructor": constructor}
    return declare_conv(name, **{**facts, **changes})


def declare_sensitive(name: str, **changes: Any) -> BackboneSpec:
    """Declare a network that amplifies any rounding error, so that bf16 cannot be judged."""

    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import ConvNet

        model = ConvNet()
        model.add("pool", lambda features: (50_000 * features).sin())
        return model

    return declare_conv(name, **{"build": build, "supports": ("bf16",), **changes})


def convert(_tag: str, tensors: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """Rename the one tensor that has a different name in the file."""
    known = model.state_dict()
    return {name if name in known else "stem.0.weight": tensor for name, tensor in tensors.items()}


def describe_run(classes: Sequence[str], given: InputSpec) -> dict[str, dict[str, Any]]:
    """Return the file with which a library would load the folder of a run."""
    return {"config.json": {"classes": list(classes), "size": given.size[1]}}


def make_images(folder: Path) -> None:
    from PIL import Image

    for shade, name in enumerate(("dark", "light")):
        path = folder / "train" / name / "0.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), (200 * shade,) * 3).save(path)


@hookimpl
def zoo_backbones() -> Iterator[BackboneSpec]:
    yield declare_conv(
        "good/conv",
        input=InputSpec(size=(3, 16, 16), resize=16, mean=INPUT.mean, std=INPUT.std, min_size=8),
        preprocessing=lambda _tag: build_preprocessing(INPUT),
        classifier="classifier",
        constructor="specimens.networks.ConvNet(num_classes={num_classes})",
        first_conv="stem.0",
        supports=("image_sizes", "channels", "bf16", "gradient_checkpointing", "export"),
        weights=(declare_weights(logits=LOGITS),),
    )
    yield declare_conv("good/converted", convert=convert, weights=(declare_weights("renamed.safetensors"),))
    yield declare_valued("good/valued")
    yield declare_sensitive("good/sensitive")
    yield declare_conv("good/packed", weights=(declare_weights("good.zip", member="nets/good.safetensors"),))
    yield declare_aux("good/aux")
    yield declare_masked("good/masked")
    yield declare_tokens("good/tokens", constructor="specimens.networks.TokenNet({num_classes})", supports=("bf16",))
    yield declare_linear("good/linear", supports=("compile",))
    yield declare_squeeze("good/squeeze")
    yield declare_fields(
        "good/fields",
        run_files=describe_run,
        constructor="specimens.networks.FieldNet(num_classes={num_classes})",
        supports=("image_sizes", "bf16", "gradient_checkpointing", "export"),
    )
    yield declare_tower(
        "good/tower",
        constructor="specimens.networks.TowerNet()",
        supports=("image_sizes", "bf16", "gradient_checkpointing", "export"),
        weights=(declare_tower_weights(logits=FEATURES),),
    )
    yield declare_field_tower("good/field-tower", supports=("export",))
    yield declare_scaled("good/scaled", constructor="specimens.networks.ScaledNet({num_classes})")


@hookimpl
def zoo_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="good/generated", description="generated", license="CC0-1.0", make=make_images)]


@hookimpl
def zoo_data_sources() -> list[SourceSpec]:
    return [SourceSpec(prefix="good-album", description="an album", fetch=lambda _name, folder: folder)]


@hookimpl
def zoo_run_started(run: Mapping[str, Any]) -> None:
    """Note that the run has started, in its own folder."""
    Path(run["path"], "good.txt").write_text("started\n")


@hookimpl
def zoo_epoch_ended(run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
    """Note the accuracy of an epoch."""
    with Path(run["path"], "good.txt").open("a") as notes:
        notes.write(f"{epoch['val_accuracy']}\n")


@hookimpl
def zoo_find_backbone(name: str) -> BackboneSpec | None:
    """Find the network under another name."""
    return declare_conv("good/other") if name == "other" else None
