"""How to train: every option of a run, with its default, checked before anything is built. Never imports torch."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from zoo.errors import OptionError
from zoo.registry.head_design import HeadDesign

TRAINS = ("head", "all", "head-then-all", "gradual")
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

CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "augment": AUGMENTS,
    "precision": PRECISIONS,
    "device": DEVICES,
    "balance": BALANCES,
    "baseline": BASELINES,
}
SWITCHES = ("cache", "sync_batch_norm", "shard", "compile")
#: Whole numbers, with the least of each.
COUNTS = {
    "epochs": 1,
    "batch_size": 1,
    "accumulate": 1,
    "seed": 0,
    "patience": 1,
    "workers": 0,
    "views": 0,
    "save_every": 1,
}
#: Other numbers, with the most of each.
NUMBERS = {
    "lr": 100.0,
    "weight_decay": 1.0,
    "layer_decay": 1.0,
    "warmup": 1000.0,
    "clip_norm": 1e6,
    "label_smoothing": 0.999,
    "mixup": 100.0,
    "cutmix": 100.0,
    "erase": 1.0,
    "ema": 0.999999,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of a run; the fields are the flags of ``zoo finetune``."""

    #: ``DEFAULT``, a tag, ``none`` or a .safetensors file; None: the tag in the backbone's name, else ``DEFAULT``.
    weights: str | None = None
    #: ``linear`` or ``mlp:W,W``.
    head: str = "linear"
    #: What learns: ``head``, ``all``, ``from:BLOCK``, ``head-then-all``, or ``gradual`` from the head down.
    train: str = "head"
    epochs: int = 5
    batch_size: int = 32
    #: The highest rate of the schedule; None: by optimizer and by what learns.
    lr: float | None = None
    optimizer: str = "adamw"
    schedule: str = "onecycle"
    #: Of weights, not of biases and norms; None: by optimizer.
    weight_decay: float | None = None
    #: By how much the rate of each block is lower than that of what comes after it.
    layer_decay: float = 1.0
    #: Epochs in which the rate rises, before the schedule begins.
    warmup: float = 0.0
    #: The norm that gradients are cut down to; None: they are left as they are.
    clip_norm: float | None = None
    #: In how many parts each batch goes through the network, to save memory; it is learned from at once all the same.
    accumulate: int = 1
    label_smoothing: float = 0.0
    #: Against rare classes being neglected: ``loss`` lets them count more, ``sampling`` lets them come more often.
    balance: str = "none"
    #: None: ``none`` where only the head learns, else ``crop-flip``. ``trivial`` and ``rand`` change colours and shapes
    #: besides, as TrivialAugment and RandAugment do.
    augment: str | None = None
    #: How likely a part of an image is blotted out.
    erase: float = 0.0
    #: Alpha of images laid over each other, and of parts of one cut into another; 0: none are.
    mixup: float = 0.0
    cutmix: float = 0.0
    #: Whether batch norms compare the images of all processes, where several share a batch.
    sync_batch_norm: bool = False
    #: Whether the parameters are divided between the processes, for networks that do not fit into the memory of one.
    shard: bool = False
    #: Decay of a moving average of the weights, which is then what is measured and kept; 0: there is none.
    ema: float = 0.0
    #: In how many ways each image is augmented, in turn from epoch to epoch, the same ones in every run; 0: in another
    #: way at every epoch. None: one where nothing is augmented, a few where only the head learns, else 0.
    views: int | None = None
    #: Whether what is frozen is computed once, and kept in the cache folder.
    cache: bool = True
    #: What the run is compared with: ``scratch`` trains the same network from random weights for as many epochs.
    baseline: str = "none"
    precision: str = "auto"
    #: Whether the network is compiled for training, where it runs at every epoch.
    compile: bool = False
    device: str = "auto"
    seed: int = 0
    #: Steps between two states that are saved, for a run to go on from; None: about five minutes.
    save_every: int | None = None
    #: Stop after that many epochs without a better validation accuracy; None: never.
    patience: int | None = None
    #: Threads that decode images; None: one for each core, at most four, or sixteen for a GPU.
    workers: int | None = None

    def __post_init__(self) -> None:
        for field in CHOICES:
            self._check_choice(field)
        for field in SWITCHES:
            self._check_switch(field)
        for field in ("weights", "head", "train"):
            self._check_text(field)
        if self.train not in TRAINS and not re.fullmatch(r"from:.+", self.train):
            raise OptionError(
                f"no train {self.train!r}; it is {', '.join(TRAINS)}, or from:BLOCK with a block of `zoo info`."
            )
        for field, least in COUNTS.items():
            self._check_count(field, least)
        for field, most in NUMBERS.items():
            self._check_number(field, most)
        if self.views is not None and self.views > 1 and self.augmentation == "none":
            raise OptionError(
                f"{self.views} views without augmentation would all be the same; add --augment crop-flip."
            )
        if self.erase and self.augmentation == "none":
            raise OptionError("erase is a change of augmented images; with it, augment cannot be none.")
        if self.clip_norm == 0:
            raise OptionError("clip_norm is 0; nothing would be learned. Leave it out, and nothing is cut down.")
        HeadDesign.parse(self.head)
        self._check_shard()

    @property
    def augmentation(self) -> str:
        """What happens to training images: frozen features gain nothing from augmentation, where it was measured."""
        if self.augment is not None:
            return self.augment
        return "none" if self.train == "head" and not self.views and not self.erase else "crop-flip"

    @property
    def num_views(self) -> int:
        """In how many ways each image is augmented; 0: in another one at every epoch."""
        if self.augmentation == "none":
            return 1
        if self.views is not None:
            return self.views
        return HEAD_VIEWS if self.train == "head" else 0

    @property
    def learning_rate(self) -> float:
        """The highest rate of the schedule."""
        if self.lr is not None:
            return self.lr
        if self.train == "all" or self.train.startswith("from:"):
            return BACKBONE_LR[self.optimizer]
        return (MLP_LR if HeadDesign.parse(self.head).widths else HEAD_LR)[self.optimizer]

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

    def _check_choice(self, field: str) -> None:
        value, choices = getattr(self, field), CHOICES[field]
        if value not in choices and not (field == "augment" and value is None):
            raise OptionError(f"no {field} {value!r}; it is one of {', '.join(choices)}.")

    def _check_shard(self) -> None:
        if self.shard and self.train in ("head-then-all", "gradual"):
            raise OptionError(
                f"shard divides a network once, so it takes train head, all or from:BLOCK, not {self.train}."
            )
        if self.shard and self.precision == "fp16":
            raise OptionError("shard takes precision bf16 or fp32, not fp16.")

    def _check_switch(self, field: str) -> None:
        value = getattr(self, field)
        if type(value) is not bool:
            raise OptionError(f"{field} is {value!r}; it must be true or false.")

    def _check_count(self, field: str, least: int) -> None:
        value = getattr(self, field)
        is_left_out = value is None and field in ("patience", "workers", "views", "save_every")
        if not is_left_out and (type(value) is not int or not least <= value < 2**63):
            raise OptionError(f"{field} is {value!r}; it must be a whole number from {least} to 2**63 - 1.")

    def _check_text(self, field: str) -> None:
        value = getattr(self, field)
        if value is None and field == "weights":
            return
        if not isinstance(value, str):
            raise OptionError(f"{field} is {value!r}; it must be a text.")
        if not value and field == "weights":
            raise OptionError("weights is empty; leave it out, or say what is meant.")

    def _check_number(self, field: str, most: float) -> None:
        value = getattr(self, field)
        if value is None and field in ("lr", "weight_decay", "clip_norm"):
            return
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= most:
            raise OptionError(f"{field} is {value!r}; it must be a number from 0 to {most}.")


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
