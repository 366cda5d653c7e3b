"""A training loop in plain PyTorch that does what the documentation says about each option, without zoo's engine."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torchvision.transforms.v2 import CutMix, MixUp, RandomChoice  # type: ignore[import-untyped]  # torchvision has no types

from zoo.data.sampler import seed_of_step
from zoo.registry.recipe import Recipe

#: Images, labels, and any weights of the images.
Batch = tuple[Tensor, ...]
State = dict[str, Tensor]
#: Modules of the tiny network that each scope freezes. The dropout before the head stays active.
FROZEN: dict[str, tuple[str, ...]] = {
    "head": ("stem", "layer1", "layer2", "classifier.0"),
    "from:hidden": ("stem", "layer1", "layer2"),
    "from:layer2": ("stem", "layer1"),
    "from:layer1": ("stem",),
    "head,layer2,!type:Conv2d": ("stem", "layer1", "layer2.0", "classifier.0"),
    "all": (),
}
#: Modules from output to input. With layer decay, each has a lower learning rate than the one before.
DEPTHS = ("classifier.3", "classifier.0", "layer2", "layer1", "stem")


@dataclass
class Reference:
    """The result of a reference loop."""

    #: State of the model after each epoch, with the moving average if there is one.
    states: list[State] = field(default_factory=list)
    #: Index of the best epoch.
    best: int = -1
    #: Learning rate of each step.
    rates: list[float] = field(default_factory=list)
    #: Validation accuracy and negative loss of each epoch.
    ranks: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class PlainTraining:
    """A training of the tiny network in plain PyTorch."""

    model: nn.Module
    #: Function that returns the batches of an epoch.
    batches_of: Callable[[int], Iterable[Batch]]
    #: Images and labels to validate on.
    val: Batch
    #: Weight of each class, for the option ``balance``.
    class_weights: Tensor
    is_bf16: bool = False
    found: Reference = field(default_factory=Reference)

    def run(self, recipe: Recipe) -> None:
        """Train a phase: a new optimizer, schedule, average and patience, on the weights of the last step so far."""
        frozen, found, start, first = FROZEN[recipe.train], self.found, len(self.found.rates), len(self.found.ranks)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(frozen or "-"))
        optimizer, average = _build_optimizer(self.model, recipe), copy.deepcopy(self.model.state_dict())
        for epoch in range(first, first + recipe.epochs):
            drops, batches = _count_drops(found.ranks[first:], recipe), list(self.batches_of(epoch))
            for number, batch in enumerate(batches):
                step = len(found.rates) - start
                factor = _factor(recipe, step, len(batches)) * 0.1**drops
                found.rates.append(recipe.learning_rate * factor)
                for group in optimizer.param_groups:
                    group["lr"] = group["own_lr"] * factor
                self.model.train()
                for name in frozen:
                    self.model.get_submodule(name).eval()
                torch.manual_seed(seed_of_step(recipe.seed, epoch, number))
                self._step(optimizer, recipe, *batch)
                _follow(average, self.model, min(recipe.ema, (2 + step) / (11 + step)))
            self._validate(average)
            ranks = found.ranks[first:]
            if recipe.patience and len(ranks) - 1 - ranks.index(max(ranks)) >= recipe.patience:
                return

    def _step(self, optimizer: torch.optim.Optimizer, recipe: Recipe, images: Tensor, *target: Tensor) -> None:
        """Mix, smooth and weigh the full batch, add up the gradients of its micro-batches, clip them, and update."""
        labels, *own = target
        shares = torch.eye(len(labels))  # Row i contains how much of each image is in image i.
        if recipe.mixup or recipe.cutmix:
            kinds = [kind(alpha=alpha) for kind, alpha in ((MixUp, recipe.mixup), (CutMix, recipe.cutmix)) if alpha]
            images, shares = (RandomChoice(kinds) if len(kinds) == 2 else kinds[0])(images, shares)
        shares = shares * own[0] if own else shares
        weights = shares.sum(1)
        targets = shares @ one_hot(labels, 2).float() / weights[:, None]
        weights = weights * (targets * self.class_weights).sum(1) if recipe.balance == "loss" else weights
        smoothed = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
        optimizer.zero_grad()
        most = len(labels) if recipe.train == "head" else len(labels) // 2  # a batch norm needs 2 images
        for some in torch.arange(len(labels)).tensor_split(min(recipe.accumulate, most)):
            with self._autocast():
                losses = -(smoothed[some] * self.model(images[some]).log_softmax(1)).sum(1)
            ((losses * weights[some]).sum() / weights.sum()).backward()
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        optimizer.step()

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16)

    @torch.no_grad()
    def _validate(self, state: State) -> None:
        """Validate the average on plain labels. The best epoch is the best so far of all phases."""
        model = copy.deepcopy(self.model).eval()
        model.load_state_dict(state)
        images, labels = self.val
        with self._autocast():
            logits = model(images)
            loss = cross_entropy(logits, labels)
        rank = (logits.argmax(1) == labels).double().mean().item(), -loss.item()
        if rank > max(self.found.ranks, default=(-1.0, 0.0)):
            self.found.best = len(self.found.ranks)
        self.found.ranks.append(rank)
        self.found.states.append(copy.deepcopy(state))


def _build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    groups = [
        {
            "params": [parameter],
            "own_lr": recipe.learning_rate
            * recipe.layer_decay ** next(depth for depth, prefix in enumerate(DEPTHS) if name.startswith(prefix)),
            "weight_decay": recipe.decay if parameter.ndim > 1 else 0.0,
        }
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    if recipe.optimizer == "sgd":
        momentum = 0.9 if recipe.momentum is None else recipe.momentum
        return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=recipe.nesterov)
    first, second = map(float, (recipe.betas or "0.9,0.999").split(","))
    return torch.optim.AdamW(groups, lr=0.0, betas=(first, second), eps=1e-8 if recipe.eps is None else recipe.eps)


def _factor(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the factor of the learning rate; here, ``onecycle`` is only defined with warmup."""
    steps = recipe.epochs * steps_per_epoch
    warmup = min(round(recipe.warmup * steps_per_epoch), steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if recipe.schedule.startswith("step"):
        size, gamma = recipe.schedule.removeprefix("step:").split(",")
        return float(gamma) ** ((step - warmup) // (int(size) * steps_per_epoch))
    falls = recipe.schedule == "cosine" or (recipe.schedule == "onecycle" and warmup)
    return (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2 if falls else 1.0


def _count_drops(ranks: Sequence[tuple[float, float]], recipe: Recipe) -> int:
    """Return how often, after warmup, two more epochs were not better than the best one."""
    drops, waited, ranks = 0, 0, ranks[math.ceil(recipe.warmup) :]
    for number, rank in enumerate(ranks):
        waited = 0 if rank > max(ranks[:number], default=(-1.0, 0.0)) else waited + 1
        drops, waited = (drops + 1, 0) if waited == 2 else (drops, waited)
    return drops if recipe.schedule == "plateau" else 0


@torch.no_grad()
def _follow(average: State, model: nn.Module, decay: float) -> None:
    """Move the average toward the model; a decay of 0 copies the model."""
    for name, tensor in model.state_dict().items():
        average[name] = decay * average[name] + (1 - decay) * tensor if tensor.is_floating_point() else tensor.clone()
