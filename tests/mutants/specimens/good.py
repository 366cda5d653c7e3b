"""A plugin whose backbones keep every promise, and claim every capability that they have."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specimens.upstream import build_preprocessing
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, SourceSpec, WeightsSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

ZOO_API = 1

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


def locate(file: str) -> str:
    """Return the URL of a file in the folder where the plugin is installed."""
    return Path(str(importlib.metadata.distribution("zoo-good").locate_file(file))).as_uri()


def declare_weights(file: str = "good.safetensors", **changes: Any) -> WeightsSpec:
    facts: dict[str, Any] = {"tag": "V1", "url": locate(file), "license": "MIT", "num_classes": 10}
    return WeightsSpec(**{**facts, **changes})


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


def declare_sensitive(name: str, **changes: Any) -> BackboneSpec:
    """Declare a network that amplifies any rounding error, so that bf16 cannot be judged."""

    def build(_tag: str | None) -> nn.Module:
        from specimens.networks import ConvNet

        model = ConvNet()
        model.add("pool", lambda features: (500 * features).sin())
        return model

    return declare_conv(name, **{"build": build, "supports": ("bf16",), **changes})


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
        supports=("image_sizes", "bf16", "gradient_checkpointing", "export"),
        weights=(declare_weights(logits=LOGITS),),
    )
    yield declare_sensitive("good/sensitive")
    yield declare_aux("good/aux")
    yield declare_masked("good/masked")
    yield declare_tokens("good/tokens", constructor="specimens.networks.TokenNet({num_classes})", supports=("bf16",))
    yield declare_linear("good/linear", supports=("compile",))
    yield declare_squeeze("good/squeeze")


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
