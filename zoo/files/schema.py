"""Types of the files that zoo writes and reads: model headers, run.json, checkpoints and shard indexes.

A file may come from another machine, from another version of zoo, or from an attacker. Its content is validated against
the types below before anything else uses it. Fields that are not listed here are ignored, so that zoo can read files
from newer versions as long as the listed fields are unchanged. `zoo.files.metrics_schema` contains the types of
metrics and predictions, and `zoo.files.registry_schema` those of registry.toml.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from zoo.files.data_schema import Count, DataFacts, Name, Positive, Text
from zoo.files.limits import MAX_CHANNELS, MAX_CLASSES, MAX_RESIZE, MAX_SIDE
from zoo.files.metrics_schema import Fraction, Metrics

#: A loss, a learning rate or a duration.
NotNegative = Annotated[float, Meta(ge=0)]
Classes = Annotated[list[Name], Meta(min_length=1, max_length=MAX_CLASSES)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Channels = Annotated[list[float], Meta(min_length=1, max_length=MAX_CHANNELS)]


class Input(TypedDict):
    """The input of a model, as in `zoo.plugin.InputSpec`."""

    size: Annotated[list[Side], Meta(min_length=3, max_length=3)]
    resize: Annotated[int, Meta(ge=1, le=MAX_RESIZE)]
    crop: Name
    interpolation: Name
    mean: Channels
    std: Channels
    min_size: NotRequired[Side | None]
    bits: NotRequired[Annotated[int, Meta(ge=8, le=16)] | None]


class OwnNetwork(TypedDict):
    """How a network that no plugin provides was built; see `zoo.registry.origin`."""

    type: Name
    head: Name
    file: Name | None
    function: Name | None
    sha256: Name | None


class ModelHeader(TypedDict):
    """The metadata of model.safetensors; each field is JSON text there."""

    backbone: Name
    tag: Text | None
    head: Name
    classes: Classes
    input: Input
    weights: Text
    weights_license: Text
    network: NotRequired[OwnNetwork | None]


class Best(TypedDict):
    """The best epoch."""

    epoch: Positive
    val_accuracy: Fraction
    val_loss: NotNegative


class Epoch(TypedDict):
    """A line of history.jsonl."""

    epoch: Positive
    train_loss: NotNegative
    train_accuracy: Fraction
    val_loss: NotNegative
    val_accuracy: Fraction
    lr: NotNegative
    train_seconds: NotNegative
    seconds: NotNegative
    phase: Positive


class WeightsFacts(TypedDict):
    """The initial weights of a run."""

    label: Text
    url: Text | None
    license: NotRequired[Text | None]


class RecipeFacts(TypedDict):
    """The options of a run that zoo reads individually."""

    train: Name
    head: Name
    label_from: NotRequired[Text | None]
    columns: NotRequired[Text | None]
    split: NotRequired[Text | None]
    fold: NotRequired[Text | None]
    seed: NotRequired[int]


class HardwareFacts(TypedDict):
    """The hardware that a run used."""

    device: Name
    precision: Name
    processes: NotRequired[Positive]


class Params(TypedDict):
    """Numbers of parameters."""

    total: Count
    #: Number of trainable parameters. The key is part of the format of run.json.
    learning: Count
    #: Numbers of the parameters that are never trained: with ``requires_grad=False``, and declared as unused.
    fixed: NotRequired[Count]
    unused: NotRequired[Count]


class NoGradient(TypedDict):
    """The parameters of a phase that should have been trained, but that no gradient reached."""

    phase: Positive
    tensors: Positive
    params: Count
    learning: Count
    names: list[Name]


class PhaseFacts(TypedDict):
    """A phase of a run."""

    train: Name
    epochs: Positive
    lr: NotNegative
    frozen: Name | None


class Baseline(TypedDict):
    """The comparison with random initial weights."""

    gain: Annotated[float, Meta(ge=-1, le=1)]
    accuracy: Fraction
    split: Name


class BegunRun(TypedDict):
    """The facts of a run that are known before its first step."""

    backbone: Name
    weights: WeightsFacts
    classes: Classes
    recipe: RecipeFacts
    input: Input
    data: DataFacts
    hardware: HardwareFacts
    #: A string in the file; the type requires that it is a valid date and time.
    started: datetime
    versions: NotRequired[dict[Name, Text]]
    params: Params
    phases: Annotated[list[PhaseFacts], Meta(min_length=1)]
    no_gradient: NotRequired[list[NoGradient]]


class Run(BegunRun):
    """The content of run.json, which describes a finished run."""

    best: Best
    val: Metrics
    test: NotRequired[Metrics | None]
    epochs: Positive
    seconds: NotNegative
    baseline: NotRequired[Baseline | None]


class InterruptedRun(BegunRun):
    """The facts of a run that began; after the first epoch, they include the results so far."""

    best: NotRequired[Best]
    val: NotRequired[Metrics]
    epochs: NotRequired[Positive]
    seconds: NotRequired[NotNegative]
    resumed: NotRequired[list[Positive]]


class EpochInProgress(TypedDict):
    """The epoch in which a checkpoint was written."""

    step: Count
    count: Count
    lr: NotNegative
    seconds: NotNegative


class TrainingProgress(TypedDict):
    """How far training was when a checkpoint was written. The keys are part of the format of checkpoints."""

    #: Kind of batches, ``images`` or ``features``.
    feed: Name
    phase: Count
    done: Count
    history: list[Epoch]
    steps: Count
    #: Number of micro-batches per batch.
    parts: Positive
    scaler: dict[Name, Any]
    #: The epoch in progress.
    lap: NotRequired[EpochInProgress]


class CheckpointFacts(TypedDict):
    """The metadata of a checkpoint."""

    format: Count
    run: InterruptedRun
    state: TrainingProgress


class ShardIndex(TypedDict):
    """The images of a shard in the cache folder: the name, offset and size of each, and its class or None."""

    images: list[tuple[str, Count, Count, str | None]]


class RankScores(TypedDict):
    """The scores of a backbone in the cache folder; see `zoo.training.rank.scores`."""

    #: A digit for each image: 1 if it was classified correctly.
    correct: Text
    knn: Text
    loss: NotNegative
    logme: float
    bytes: Count
