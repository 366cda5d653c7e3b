"""What a process has of a batch, and of which whole it is a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.engine.learner import Learner, mix_nothing


@dataclass(frozen=True)
class LocalBatch:
    """A batch, or a process's share of one."""

    #: (N, C, H, W), or features (N, width); N may be 0.
    images: Tensor
    #: Labels of shape (N,), or shares of classes of shape (N, classes).
    targets: Tensor
    #: What the mean loss of the whole batch is a mean over.
    whole: Tensor
    #: Images of the whole batch, and the processes that have some.
    count: int
    sharing: int = 1

    @property
    def largest(self) -> int:
        """Return how many images the process has that has most of them."""
        return -(-self.count // self.sharing)

    def mix(self, learner: Learner) -> LocalBatch:
        """Mix the images with one another, if they are to be."""
        if not len(self.targets):
            return self
        images, targets = learner.mix(self.images, self.targets)
        return replace(self, images=images, targets=targets)

    def split(self, learner: Learner) -> Iterator[tuple[Tensor, ...]]:
        """Yield images, targets and answers, (N,), as they go through the network at a time.

        The answers are labels; of mixed images, those that have the larger share.
        """
        if not len(self.targets):
            return iter(())
        answers = self.targets if self.targets.ndim == 1 else self.targets.argmax(1)
        # Where processes wait for each other in the network they run it equally often, whoever has one image more.
        least = self.count // self.sharing if learner.parts.is_fixed else len(self.targets)
        return learner.parts.split(self.images, self.targets, answers, size=least)


def make_local_batch(learner: Learner, images: Tensor, labels: Tensor) -> LocalBatch:
    """Find out what the other processes have of a batch.

    Raises:
        LostProcess: another process is gone.
    """
    world = learner.hardware.world
    # Of mixed images each counts one, whatever its classes.
    weight = learner.criterion.weigh(labels) if learner.mix is mix_nothing else torch.tensor(float(len(labels)))
    if world.size == 1:
        return LocalBatch(images, labels, weight, len(labels))
    whole, count, sharing = world.total([float(weight), len(labels), bool(len(labels))])
    return LocalBatch(images, labels, torch.tensor(whole), int(count), int(sharing))
