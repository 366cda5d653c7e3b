"""The declarations of a family, and short notations for numbered blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

Blocks = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts that all networks in one module of ``torchvision.models`` share."""

    name: str
    #: Dotted path of the convolution that takes the channels of an image.
    first_conv: str
    #: Dotted path of the last layer.
    head: str
    #: Blocks, keyed by the beginning of the network's name; the first match is used.
    blocks: Mapping[str, Blocks]
    #: Dotted path of the module that is usually replaced; None if that is the head, or has layers that must be kept.
    classifier: str | None = None
    aux_heads: tuple[str, ...] = ()
    aux_weight: float = 0.0
    #: Fields of the InputSpec of all weights, regardless of ``weights.transforms()``.
    input: Mapping[str, Any] = field(default_factory=dict)
    #: Options of the builder: whether it accepts ``image_size``, whether it accepts ``init_weights``, and the arguments
    #: for ``constructor``. The last is None if ``load_state_dict(load_file(...))`` does not work.
    image_size: bool = False
    init_weights: bool = False
    constructor: str | None = ""
    #: Whether upstream's model, if it is built with weights, first converts its input from ImageNet's normalization.
    transform_input: bool = False
    #: Prefixes of parameters whose values in the published file are meaningless, keyed by tag.
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Capabilities that the networks lack, each with the reason.
    unsupported: Mapping[str, str] = field(default_factory=dict)
    #: Regular expressions and their replacements, which turn the keys of a published file into the model's keys.
    renames: Mapping[str, str] = field(default_factory=dict)


def stages(path: str, *counts: int, first: int = 1) -> Blocks:
    """Group successive children of ``path``, starting at index ``first``, into stages of ``counts[i]`` children."""
    ends = list(accumulate(counts, initial=first))
    runs = (range(start, end) for start, end in pairwise(ends))
    return {f"stage{i}": " ".join(f"{path}.{n}" for n in run) for i, run in enumerate(runs, 1)}


def each(*names: str, within: str = "") -> Blocks:
    """Make each child of ``within`` in ``names`` a block with the same name."""
    return {name: f"{within}.{name}" if within else name for name in names}


def vgg_blocks(*convs: int, norm: bool) -> Blocks:
    """Describe a VGG with ``convs[i]`` convolutions in stage i, each followed by a norm if ``norm``, and by a ReLU."""
    indices = _vgg_indices(convs, step=3 if norm else 2)
    kept = (0, 1) if norm else (0,)
    features = {
        f"stage{i}": " ".join(f"features.{n + offset}" for n in stage for offset in kept)
        for i, stage in enumerate(indices, 1)
    }
    return {**features, "classifier": "classifier.0 classifier.3"}


def _vgg_indices(convs: tuple[int, ...], *, step: int) -> Iterator[range]:
    start = 0
    for count in convs:
        yield range(start, start + count * step, step)
        start += count * step + 1


def vit_blocks(depth: int) -> Blocks:
    """Describe a ViT with ``depth`` encoder layers."""
    layers = {f"block{i}": f"encoder.layers.encoder_layer_{i}" for i in range(depth)}
    return {"stem": "conv_proj class_token encoder.pos_embedding", **layers, "norm": "encoder.ln"}


def squeezenet_blocks(*fires: int) -> Blocks:
    """Describe a SqueezeNet with fire modules 2, 3 and so on at these indices of ``features``."""
    return {"stem": "features.0", **{f"fire{i}": f"features.{n}" for i, n in enumerate(fires, 2)}}
