"""The options of a run as keyword arguments, with their types and a line about each, for editors and ``help()``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Annotated, ParamSpec, TypedDict, TypeVar, get_args, get_type_hints

from zoo.errors import OptionError

P = ParamSpec("P")
T = TypeVar("T")
#: Numbers as text such as ``0.5,0.25``, or as a number or a sequence of numbers.
Numbers = str | float | Sequence[float]
#: Types of the arguments of `zoo.finetune` that are not options, and their descriptions.
_ARGUMENTS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "output": ((str, PathLike, type(None)), "a path"),
    "recipe": ((str, type(None)), "the name of a recipe in registry.toml"),
}


class FinetuneOptions(TypedDict, total=False):
    """The options of `zoo.finetune`, which are the fields of `zoo.Recipe`. None means the default."""

    weights: Annotated[str | PathLike[str] | None, "Initial weights: DEFAULT, a tag, none, or a .safetensors file."]
    head: Annotated[str, "New head: linear, or mlp:W,W with hidden layers of these widths."]
    train: Annotated[str, "Trainable part: head, all, from:BLOCK, head-then-all, gradual, or terms."]
    epochs: Annotated[int, "Number of epochs."]
    batch_size: Annotated[int, "Number of images per batch."]
    lr: Annotated[float | None, "Maximum learning rate."]
    optimizer: Annotated[str, "Optimizer: adamw, adam or sgd."]
    momentum: Annotated[float | None, "Momentum of sgd; default 0.9."]
    nesterov: Annotated[bool, "Whether sgd uses Nesterov momentum."]
    betas: Annotated[Numbers | None, "Decay rates of the averages of adam and adamw; default 0.9,0.999."]
    eps: Annotated[float | None, "Number that adam and adamw add to the denominator; default 1e-8."]
    schedule: Annotated[str, "Learning rate schedule: onecycle, cosine, plateau, constant, or step:N,FACTOR."]
    weight_decay: Annotated[float | None, "Weight decay for weights, but not for biases and norms."]
    layer_decay: Annotated[float, "Ratio of a block's learning rate to the next block's."]
    warmup: Annotated[float, "Number of epochs in which the learning rate rises before the schedule begins."]
    clip_norm: Annotated[float | None, "Maximum gradient norm."]
    accumulate: Annotated[int, "Number of micro-batches per batch."]
    label_smoothing: Annotated[float, "Label smoothing factor, at least 0 and less than 1."]
    balance: Annotated[str, "Remedy for rare classes: none, loss or sampling."]
    augment: Annotated[str | None, "Augmentation of training images: crop-flip, trivial, rand or none."]
    resize: Annotated[str | None, "How an image is fitted to the input size: crop, pad or squash."]
    image_size: Annotated[int | None, "Height and width of the input in pixels."]
    channels: Annotated[int | None, "Number of channels of the images; 1 converts them to grayscale."]
    mean: Annotated[Numbers | None, "Mean of each channel, for pixel values from 0 to 1."]
    std: Annotated[Numbers | None, "Standard deviation of each channel, for pixel values from 0 to 1."]
    label_from: Annotated[str | None, "Regular expression that finds the class in the name of an image file."]
    columns: Annotated[str | None, "Columns of a table, such as image=path,label=breed."]
    split: Annotated[Numbers | None, "Fractions of the images for train, val and test, such as 0.6,0.2,0.2."]
    fold: Annotated[str | None, "Fold of a cross-validation that is held out for validation, such as 3/5."]
    erase: Annotated[float, "Probability of random erasing."]
    mixup: Annotated[float, "Alpha of mixup; 0 turns it off."]
    cutmix: Annotated[float, "Alpha of CutMix; 0 turns it off."]
    sync_batch_norm: Annotated[bool, "Whether batch norms use the images of all processes."]
    shard: Annotated[bool, "Whether the parameters are sharded across the processes."]
    ema: Annotated[float, "Decay of a moving average of the weights, which is evaluated and saved; 0 turns it off."]
    views: Annotated[int | None, "Number of augmented views of each image; 0 for a new view in every epoch."]
    cache: Annotated[bool, "Whether the features of the frozen part are computed once and kept."]
    baseline: Annotated[str, "Run to compare with: none, or scratch for random initial weights."]
    precision: Annotated[str, "Floating-point precision: auto, fp32, bf16 or fp16."]
    compile: Annotated[bool, "Whether the network is compiled for training."]
    device: Annotated[str, "Device to train on: auto, cpu, cuda or mps."]
    seed: Annotated[int, "Seed for random numbers."]
    save_every: Annotated[int | None, "Number of steps between two checkpoints; default about every five minutes."]
    patience: Annotated[int | None, "Number of epochs without an improvement after which training stops."]
    workers: Annotated[int | None, "Number of threads or, with a GPU, processes that decode images."]


def check_arguments(**arguments: object) -> None:
    """Check the types of the arguments of `zoo.finetune` that are not options.

    Raises:
        OptionError: If an argument has a wrong type.
    """
    for name, value in arguments.items():
        kinds, description = _ARGUMENTS[name]
        if not isinstance(value, kinds):
            raise OptionError(f"`{name}` must be {description}, got {value!r}.")


def list_options() -> list[str]:
    """Return a line about each option, such as ``epochs (int): Number of epochs.``."""
    lines = []
    for name, annotation in get_type_hints(FinetuneOptions, include_extras=True).items():
        kind, text = get_args(annotation)
        lines.append(f"{name} ({inspect.formatannotation(kind).replace('collections.abc.', '')}): {text}")
    return lines


def document_options(function: Callable[P, T]) -> Callable[P, T]:
    """Add the list of options to the docstring of a function that accepts `FinetuneOptions`."""
    lines = "".join(f"\n    {line}" for line in list_options())
    function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nOptions:{lines}\n"
    return function
