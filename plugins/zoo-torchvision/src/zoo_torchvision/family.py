"""What is declared of a family, and how numbered blocks are written down briefly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

Blocks = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the networks of one module of ``torchvision.models`` have in common."""

    name: str
    #: Dotted path of the last layer.
    head: str
    #: By the start of the network's name; the first one that fits counts.
    blocks: Mapping[str, Blocks]
    #: Dotted path of the region that people replace whole; None where it is the head, or holds what must stay.
    classifier: str | None = None
    aux_heads: tuple[str, ...] = ()
    aux_weight: float = 0.0
    #: What the InputSpec of all weights has, whatever ``weights.transforms()`` says.
    input: Mapping[str, Any] = field(default_factory=dict)
    #: Builder's options: it takes ``image_size``; it takes ``init_weights``; and what ``constructor`` passes on, None
    #: where a plain ``load_state_dict(load_file(...))`` does not do.
    image_size: bool = False
    init_weights: bool = False
    constructor: str | None = ""
    #: Tag -> prefixes that the published file holds without meaning.
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: What the networks cannot do, and why.
    unsupported: Mapping[str, str] = field(default_factory=dict)
    #: Regular expression -> replacement, from a published file's keys to the model's keys.
    renames: Mapping[str, str] = field(default_factory=dict)


def stages(path: str, *counts: int, first: int = 1) -> Blocks:
    """Name ``counts[i]`` successive children of ``path``, from index ``first``, ``stage1``, ``stage2``, and so on."""
    ends = list(accumulate(counts, initial=first))
    runs = (range(start, end) for start, end in pairwise(ends))
    return {f"stage{i}": " ".join(f"{path}.{n}" for n in run) for i, run in enumerate(runs, 1)}


def each(*names: str, within: str = "") -> Blocks:
    """Make each of upstream's children ``names`` of ``within`` a block of the same name."""
    return {name: f"{within}.{name}" if within else name for name in names}


def vgg_blocks(*convs: int, norm: bool) -> Blocks:
    """Write down a VGG with ``convs[i]`` times conv, (norm,) relu in stage i, which a pooling ends."""
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
    """Write down a ViT with ``depth`` encoder layers."""
    layers = {f"block{i}": f"encoder.layers.encoder_layer_{i}" for i in range(depth)}
    return {"stem": "conv_proj class_token encoder.pos_embedding", **layers, "norm": "encoder.ln"}


def squeezenet_blocks(*fires: int) -> Blocks:
    """Write down a SqueezeNet with its fire modules 2, 3... at these indices of ``features``."""
    return {"stem": "features.0", **{f"fire{i}": f"features.{n}" for i, n in enumerate(fires, 2)}}
