"""A value of each training option that changes the result of a run, and all pairs of them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

#: Options of the runs to which the values below are added. No default depends on these values.
BASE: dict[str, Any] = {
    "weights": "none",
    "train": "all",
    "epochs": 4,
    "batch_size": 7,
    "lr": 0.05,
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "schedule": "constant",
    "device": "cpu",
    "precision": "fp32",
    "workers": 0,
}
#: Options by the name under which docs/explanation/option-pairs.md lists them. With the learning rate of the schedule
#: plateau, the accuracy stops improving within a few epochs.
VALUES: dict[str, dict[str, Any]] = {
    "optimizer": {"optimizer": "adamw"},
    "momentum": {"momentum": 0.5},
    "nesterov": {"nesterov": True},
    "betas": {"optimizer": "adamw", "betas": "0.6,0.8"},
    "eps": {"optimizer": "adamw", "eps": 0.01},
    "weight_decay": {"weight_decay": 0.5},
    "layer_decay": {"layer_decay": 0.5},
    "lr": {"lr": 0.2},
    "schedule": {"schedule": "cosine"},
    "schedule=step": {"schedule": "step:1,0.5"},
    "schedule=onecycle": {"schedule": "onecycle", "warmup": 1.0},
    "schedule=plateau": {"schedule": "plateau", "lr": 0.6, "epochs": 6},
    "warmup": {"warmup": 1.5},
    "batch_size": {"batch_size": 10},
    "accumulate": {"accumulate": 3},
    "clip_norm": {"clip_norm": 0.2},
    "label_smoothing": {"label_smoothing": 0.3},
    "balance=loss": {"balance": "loss"},
    "balance=sampling": {"balance": "sampling"},
    "mixup": {"mixup": 1.0},
    "cutmix": {"cutmix": 1.0},
    "views": {"views": 2},
    "augment=none": {"augment": "none"},
    "erase": {"erase": 1.0},
    "ema": {"ema": 0.8},
    "epochs": {"epochs": 5},
    "patience": {"patience": 1},
    "seed": {"seed": 1},
    "train=head": {"train": "head", "augment": "crop-flip", "views": 0},
    "train=from": {"train": "from:layer2"},
    "train=terms": {"train": "head,layer2,!type:Conv2d"},
    "train=head-then-all": {"train": "head-then-all"},
    "train=gradual": {"train": "gradual"},
}
#: Pairs that zoo refuses, because one of the two would have no effect.
REFUSED = (
    {"augment=none", "views"}, {"augment=none", "erase"}, {"schedule=plateau", "patience"},
    *({sgd, adamw} for sgd in ("momentum", "nesterov") for adamw in ("optimizer", "betas", "eps")),
)  # fmt: skip


def are_compatible(one: str, two: str) -> bool:
    """Return whether two values can be set together, and neither contains the other."""
    first, second = VALUES[one], VALUES[two]
    shared = first.keys() & second.keys()
    are_equal = all(first[option] == second[option] for option in shared)
    return are_equal and len(shared) < min(len(first), len(second)) and {one, two} not in REFUSED


#: All pairs that can be set together.
PAIRS = [(one, two) for one, two in combinations(VALUES, 2) if are_compatible(one, two)]


def list_covering() -> list[tuple[str, ...]]:
    """List sets of compatible options, such that each pair is in at least one of them."""
    left, sets = list(PAIRS), []
    while left:
        chosen = list(left[0])
        for name in sorted(VALUES, key=lambda name: -sum(name in pair for pair in left)):
            if all(name != other and are_compatible(name, other) for other in chosen):
                chosen.append(name)
        sets.append(tuple(chosen))
        left = [pair for pair in left if not set(pair) <= set(chosen)]
    return sets
