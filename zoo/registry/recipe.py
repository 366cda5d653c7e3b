"""The options of a run, each with its default, checked before anything is built."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from typing import Any

from zoo.errors import OptionError
from zoo.registry.head_design import HeadDesign
from zoo.registry.option_fields import check_fields, count, number, one_of, switch, text
from zoo.registry.train_scope import TrainScope

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("onecycle", "cosine", "step", "plateau", "constant")
AUGMENTS = ("crop-flip", "trivial", "rand", "none")
BASELINES = ("none", "scratch")
BALANCES = ("none", "loss", "sampling")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")

#: Learning rates by optimizer. Of a new last layer on frozen features.
HEAD_LR = {"adam": 5e-3, "adamw": 5e-3, "sgd": 5e-2}
#: Of a perceptron with hidden layers, which a linear layer's rate throws about.
MLP_LR = {"adam": 5e-4, "adamw": 5e-4, "sgd": 5e-3}
#: Of a pretrained network as a whole.
BACKBONE_LR = {"adam": 3e-4, "adamw": 3e-4, "sgd": 1e-2}
#: AdamW's decay does not depend on the gradients' size, as that of the others does.
DECAY = {"adam": 0.0, "adamw": 0.01, "sgd": 1e-4}

#: Steps between two states that are saved of a network that is divided.
SHARD_EVERY = 100
#: Views where only the head learns from augmented images: each one costs a pass of all images through the network.
HEAD_VIEWS = 4


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of a run; the fields are the flags of ``zoo finetune``."""

    #: ``DEFAULT``, a tag, ``none`` or a .safetensors file; None: the tag in the backbone's name, else ``DEFAULT``.
    weights: str | None = text(None)
    #: ``linear`` or ``mlp:W,W``.
    head: str = text("linear")
    #: What learns: ``head``, ``all``, ``from:BLOCK``, ``head-then-all``, or ``gradual`` from the head down.
    train: str = text("head")
    epochs: int = count(5)
    batch_size: int = count(32)
    #: The highest rate of the schedule; None: by optimizer and by what learns.
    lr: float | None = number(None, 100.0)
    optimizer: str = one_of("adamw", OPTIMIZERS)
    schedule: str = one_of("onecycle", SCHEDULES)
    #: Of weights, not of biases and norms; None: by optimizer.
    weight_decay: float | None = number(None, 1.0)
    #: By how much the rate of each block is lower than that of what comes after it.
    layer_decay: float = number(1.0, 1.0)
    #: Epochs in which the rate rises, before the schedule begins.
    warmup: float = number(0.0, 1000.0)
    #: The norm that gradients are cut down to; None: they are left as they are.
    clip_norm: float | None = number(None, 1e6)
    #: In how many parts each batch goes through the network, to save memory; it is learned from at once all the same.
    accumulate: int = count(1)
    label_smoothing: float = number(0.0, 0.999)
    #: Against rare classes being neglected: ``loss`` lets them count more, ``sampling`` lets them come more often.
    balance: str = one_of("none", BALANCES)
    #: None: ``none`` where only the head learns, else ``crop-flip``. ``trivial`` and ``rand`` change colours and shapes
    #: besides, as TrivialAugment and RandAugment do.
    augment: str | None = one_of(None, AUGMENTS)
    #: How likely a part of an image is blotted out.
    erase: float = number(0.0, 1.0)
    #: Alpha of images laid over each other, and of parts of one cut into another; 0: none are.
    mixup: float = number(0.0, 100.0)
    cutmix: float = number(0.0, 100.0)
    #: Whether batch norms compare the images of all processes, where several share a batch.
    sync_batch_norm: bool = switch(default=False)
    #: Whether the parameters are divided between the processes, for networks that do not fit into the memory of one.
    shard: bool = switch(default=False)
    #: Decay of a moving average of the weights, which is then what is measured and kept; 0: there is none.
    ema: float = number(0.0, 0.999999)
    #: In how many ways each image is augmented, in turn from epoch to epoch, the same ones in every run; 0: in another
    #: way at every epoch. None: one where nothing is augmented, a few where only the head learns, else 0.
    views: int | None = count(None, 0)
    #: Whether what is frozen is computed once, and kept in the cache folder.
    cache: bool = switch(default=True)
    #: What the run is compared with: ``scratch`` trains the same network from random weights for as many epochs.
    baseline: str = one_of("none", BASELINES)
    precision: str = one_of("auto", PRECISIONS)
    #: Whether the network is compiled for training, where it runs at every epoch.
    compile: bool = switch(default=False)
    device: str = one_of("auto", DEVICES)
    seed: int = count(0, 0)
    #: Steps between two states that are saved, for a run to go on from; None: about five minutes.
    save_every: int | None = count(None)
    #: Stop after that many epochs without a better validation accuracy; None: never.
    patience: int | None = count(None)
    #: Threads that decode images; None: one for each core, at most four, or sixteen for a GPU.
    workers: int | None = count(None, 0)

    def __post_init__(self) -> None:
        check_fields(self)
        _ = self.scope, self.head_design  # raise if they cannot be read
        if self.views is not None and self.views > 1 and self.augmentation == "none":
            raise OptionError(
                f"{self.views} views without augmentation would all be the same; set augment to crop-flip."
            )
        if self.erase and self.augmentation == "none":
            raise OptionError("erase changes augmented images, so augment cannot be none.")
        if self.clip_norm == 0:
            raise OptionError("clip_norm must be above 0; leave it out to leave gradients as they are.")
        if self.shard and self.scope.is_phased:
            raise OptionError(f"shard needs one phase: train head, all or from:BLOCK, not {self.train}.")
        if self.shard and self.precision == "fp16":
            raise OptionError("shard needs precision bf16 or fp32, not fp16.")

    @cached_property
    def scope(self) -> TrainScope:
        """What is trained."""
        return TrainScope.parse(self.train)

    @cached_property
    def head_design(self) -> HeadDesign:
        """What replaces the head."""
        return HeadDesign.parse(self.head)

    @property
    def augmentation(self) -> str:
        """What happens to training images: frozen features gain nothing from augmentation, where it was measured."""
        if self.augment is not None:
            return self.augment
        return "none" if self.scope.is_head_only and not self.views and not self.erase else "crop-flip"

    @property
    def num_views(self) -> int:
        """In how many ways each image is augmented; 0: in another one at every epoch."""
        if self.augmentation == "none":
            return 1
        if self.views is not None:
            return self.views
        return HEAD_VIEWS if self.scope.is_head_only else 0

    @property
    def learning_rate(self) -> float:
        """The highest rate of the schedule."""
        if self.lr is not None:
            return self.lr
        if not (self.scope.is_head_only or self.scope.is_phased):
            return BACKBONE_LR[self.optimizer]
        return (MLP_LR if self.head_design.widths else HEAD_LR)[self.optimizer]

    @property
    def saves_every(self) -> int | None:
        """Steps between two states that are saved; None: it goes by the clock, which divided processes do not share."""
        return SHARD_EVERY if self.shard and self.save_every is None else self.save_every

    @property
    def decay(self) -> float:
        """The weight decay."""
        return DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def list_decided(self) -> dict[str, Any]:
        """List what was decided for fields that may be left to zoo."""
        return {
            "augment": self.augmentation, "views": self.num_views, "lr": self.learning_rate, "weight_decay": self.decay,
            "save_every": self.saves_every,
        }  # fmt: skip


def make_recipe(options: dict[str, Any]) -> Recipe:
    """Make a recipe from options by name; those left out get their defaults.

    Raises:
        OptionError: an option is unknown or has a value that it cannot have.
    """
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in options:
        if name not in known:
            raise OptionError(f"no option {name!r}; the options are {', '.join(known)}.")
    if isinstance(options.get("weights"), PathLike):
        options = {**options, "weights": fspath(options["weights"])}
    return Recipe(**options)
