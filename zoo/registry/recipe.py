"""The options of a run and their defaults. They are checked before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zoo.errors import OptionError
from zoo.files.limits import MAX_CHANNELS, MAX_SIDE, MAX_WORKERS
from zoo.registry.data_options import DataOptions
from zoo.registry.head_design import HeadDesign
from zoo.registry.optimizer_design import BACKBONE_LR, DECAY, HEAD_LR, MLP_LR, OPTIMIZERS, OptimizerDesign
from zoo.registry.option_fields import check_fields, count, number, numbers, one_of, path, switch, text
from zoo.registry.preprocessing import RESIZES, Preprocessing
from zoo.registry.schedule_design import ScheduleDesign
from zoo.registry.spelling import describe_unknown
from zoo.registry.train_scope import TrainScope

AUGMENTS = ("crop-flip", "trivial", "rand", "none")
BASELINES = ("none", "scratch")
BALANCES = ("none", "loss", "sampling")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")

#: Number of steps between two checkpoints of a sharded network.
SHARD_EVERY = 100
#: Number of views per image if only the head is trained on augmented images. Each one costs a pass over all images.
HEAD_VIEWS = 4


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of a run. Each field is also a flag of ``zoo finetune``."""

    #: Initial weights: ``DEFAULT``, a tag, ``none`` or a .safetensors file; None means the name's tag or DEFAULT.
    weights: str | None = path(None)
    #: New head: ``linear`` or ``mlp:W,W``.
    head: str = text("linear")
    #: Trainable part: ``head``, ``all``, ``from:BLOCK``, ``head-then-all``, ``gradual``, which unfreezes block by block
    #: from the head down, or terms such as ``head,layer4,!norms``.
    train: str = text("head")
    epochs: int = count(5)
    batch_size: int = count(32)
    #: Peak learning rate; None means a default that depends on the optimizer and the trainable part.
    lr: float | None = number(None, 100.0)
    optimizer: str = one_of("adamw", OPTIMIZERS)
    #: Momentum of SGD; None means 0.9.
    momentum: float | None = number(None, 0.999999)
    #: Whether SGD uses Nesterov momentum.
    nesterov: bool = switch(default=False)
    #: Decay rates of the averages of Adam and AdamW; None means ``0.9,0.999``.
    betas: str | None = numbers(None)
    #: Number that Adam and AdamW add to the denominator; None means 1e-8.
    eps: float | None = number(None, 1.0)
    #: One of `SCHEDULES`, or ``step:N,FACTOR`` as in torch's StepLR. ``step`` is stored as ``step:7,0.1``.
    schedule: str = text("onecycle")
    #: Weight decay, which does not apply to biases and normalization layers; None means a default that depends on the
    #: optimizer.
    weight_decay: float | None = number(None, 1.0)
    #: Ratio of a block's learning rate to the next block's.
    layer_decay: float = number(1.0, 1.0)
    #: Number of epochs in which the learning rate rises before the schedule begins.
    warmup: float = number(0.0, 1000.0)
    #: Maximum gradient norm; None means no gradient clipping.
    clip_norm: float | None = number(None, 1e6)
    #: Number of micro-batches into which each batch is divided to save memory. There is still one step per batch.
    accumulate: int = count(1)
    label_smoothing: float = number(0.0, 0.999)
    #: Remedy for rare classes: ``loss`` increases their weight in the loss, ``sampling`` samples them more often.
    balance: str = one_of("none", BALANCES)
    #: Augmentation; None means ``none`` if only the head is trained, else ``crop-flip``. ``trivial`` and ``rand`` also
    #: apply color and geometric transformations, as in TrivialAugment and RandAugment.
    augment: str | None = one_of(None, AUGMENTS)
    #: How an image is fitted to the input size: ``crop`` crops the center, ``pad`` adds a border, ``squash`` ignores
    #: the aspect ratio. None means what the weights expect, as for the next three.
    resize: str | None = one_of(None, tuple(RESIZES))
    #: Height and width of the input in pixels.
    image_size: int | None = count(None, 1, MAX_SIDE)
    #: Number of channels of the images: 1 converts them to grayscale; None means what the weights expect.
    channels: int | None = count(None, 1, MAX_CHANNELS)
    #: Mean of each channel, such as ``0.5,0.5,0.5``, for pixel values from 0 to 1.
    mean: str | None = numbers(None)
    #: Standard deviation of each channel, for pixel values from 0 to 1.
    std: str | None = numbers(None)
    #: Regular expression that finds the class in an image's file name, for folders without class folders.
    label_from: str | None = text(None)
    #: Columns of a table by role, such as ``image=path,label=breed``; None means the default column names.
    columns: str | None = text(None)
    #: Fractions of the images for train, val and test, such as ``0.6,0.2,0.2``; None means that val gets a fifth of
    #: train.
    split: str | None = numbers(None)
    #: Fold of a cross-validation whose images are held out for validation, such as ``3/5``; None means no folds.
    fold: str | None = text(None)
    #: Probability that part of an image is erased.
    erase: float = number(0.0, 1.0)
    #: Alpha of mixup, which blends images; 0 turns it off.
    mixup: float = number(0.0, 100.0)
    #: Alpha of CutMix, which pastes part of one image into another; 0 turns it off.
    cutmix: float = number(0.0, 100.0)
    #: Whether batch norms compute their statistics over the images of all processes.
    sync_batch_norm: bool = switch(default=False)
    #: Whether parameters are sharded across processes, for networks that do not fit in the memory of one GPU.
    shard: bool = switch(default=False)
    #: Decay of an exponential moving average of the weights, which is then evaluated and saved; 0 turns it off.
    ema: float = number(0.0, 0.999999)
    #: Number of augmented views of each image. The views alternate from epoch to epoch and are the same in every run;
    #: 0 means new views in every epoch. None means 1 without augmentation; with it, 4 for a head and 0 otherwise.
    views: int | None = count(None, 0)
    #: Whether the outputs of the frozen part are computed once and kept in the cache folder.
    cache: bool = switch(default=True)
    #: Run to compare with: ``scratch`` trains the same network from random weights for the same number of epochs.
    baseline: str = one_of("none", BASELINES)
    precision: str = one_of("auto", PRECISIONS)
    #: Whether the network is compiled for training; ignored when training on cached features.
    compile: bool = switch(default=False)
    device: str = one_of("auto", DEVICES)
    seed: int = count(0, 0)
    #: Number of steps between two checkpoints; None means about every five minutes.
    save_every: int | None = count(None)
    #: Number of epochs without an improvement in validation accuracy after which training stops; None means never.
    patience: int | None = count(None)
    #: Number of threads that decode images; None means one per core, up to 4 (up to 16 with a GPU).
    workers: int | None = count(None, 0, MAX_WORKERS)

    def __post_init__(self) -> None:
        check_fields(self)
        # These raise OptionError if an option is invalid.
        _ = self.scope, self.head_design, self.optimizer_design, self.data_options, self.preprocessing
        # In run.json of earlier versions, a plain ``step`` has a different meaning.
        object.__setattr__(self, "schedule", str(self.schedule_design))
        self.schedule_design.require_patience(self.patience)
        if self.views is not None and self.views > 1 and self.augmentation == "none":
            raise OptionError(f"without augmentation, all {self.views} views are the same; set `augment` to crop-flip.")
        if self.erase and self.augmentation == "none":
            raise OptionError("`erase` needs augmentation; set `augment` to something other than none.")
        if self.clip_norm == 0:
            raise OptionError("clip_norm must be above 0; leave it out to train without gradient clipping.")
        if self.batch_size == 1 and (self.mixup or self.cutmix):
            raise OptionError("`mixup` and `cutmix` mix the images of a batch; use a `batch_size` of at least 2.")
        if self.fold and (self.patience is not None or self.schedule == "plateau"):
            raise OptionError(
                "`patience` and the plateau schedule depend on the validation accuracy, but the images of a fold must "
                "not influence training; choose another `schedule`, and leave out `patience`."
            )
        if self.shard and (self.scope.is_phased or self.scope.terms):
            raise OptionError("`shard` needs a single phase of whole blocks; set `train` to head, all or from:BLOCK.")
        if self.shard and self.precision == "fp16":
            raise OptionError("`shard` does not work with fp16; set `precision` to bf16 or fp32.")

    @cached_property
    def scope(self) -> TrainScope:
        """The trainable part, parsed from ``train``."""
        return TrainScope.parse(self.train)

    @cached_property
    def head_design(self) -> HeadDesign:
        """The design of the new head, parsed from ``head``."""
        return HeadDesign.parse(self.head)

    @cached_property
    def optimizer_design(self) -> OptimizerDesign:
        """The optimizer with its own options."""
        return OptimizerDesign.parse(
            self.optimizer, momentum=self.momentum, nesterov=self.nesterov, betas=self.betas, eps=self.eps
        )

    @cached_property
    def schedule_design(self) -> ScheduleDesign:
        """The learning rate schedule, parsed from ``schedule``."""
        return ScheduleDesign.parse(self.schedule)

    @cached_property
    def data_options(self) -> DataOptions:
        """How the images are found and split."""
        return DataOptions.parse(
            label_from=self.label_from, columns=self.columns, split=self.split, fold=self.fold, seed=self.seed
        )

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The changes to the input that the weights expect."""
        return Preprocessing.parse(self.resize, self.image_size, self.mean, self.std, self.channels)

    @property
    def augmentation(self) -> str:
        """The augmentation of training images.

        The default is none if only the head is trained and neither ``views`` nor ``erase`` is set, because augmentation
        did not improve accuracy in measurements. ``views=0`` also counts as set: every epoch has a new augmentation.
        """
        if self.augment is not None:
            return self.augment
        return "none" if self.scope.is_head_only and self.views is None and not self.erase else "crop-flip"

    @property
    def num_views(self) -> int:
        """The number of augmented views of each image; 0 if every epoch has new ones."""
        if self.augmentation == "none":
            return 1
        if self.views is not None:
            return self.views
        return HEAD_VIEWS if self.scope.is_head_only else 0

    @property
    def learning_rate(self) -> float:
        """The peak learning rate of the schedule."""
        if self.lr is not None:
            return self.lr
        rates = MLP_LR if self.head_design.widths else HEAD_LR
        return (rates if self.scope.is_head_only or self.scope.is_phased else BACKBONE_LR)[self.optimizer]

    @property
    def saves_every(self) -> int | None:
        """The number of steps between two checkpoints; None if checkpoints are saved by time.

        With sharding, all processes save a checkpoint together, and they do not share a clock.
        """
        return SHARD_EVERY if self.shard and self.save_every is None else self.save_every

    @property
    def decay(self) -> float:
        """The weight decay."""
        return DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def list_decided(self) -> dict[str, Any]:
        """Return the values in use for the fields whose default depends on other fields."""
        return {
            "augment": self.augmentation,
            "views": self.num_views,
            "lr": self.learning_rate,
            "weight_decay": self.decay,
            "save_every": self.saves_every,
            **self.optimizer_design.list_decided(),
        }


def make_recipe(options: Mapping[str, Any]) -> Recipe:
    """Create a recipe from options by name. Options that are missing get their defaults.

    Raises:
        OptionError: If an option is unknown or has an invalid value.
    """
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in options:
        if name not in known:
            raise OptionError(describe_unknown(name, known))
    return Recipe(**options)
