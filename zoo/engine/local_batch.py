"""The part of a batch that one process trains on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.engine.learner import Learner


@dataclass(frozen=True)
class LocalBatch:
    """A batch, or one process's part of it."""

    #: Images of shape (N, C, H, W), or features of shape (N, width). N may be 0.
    images: Tensor
    #: Labels of shape (N,).
    labels: Tensor
    #: Denominator of the mean loss over the global batch: the number of images, or the sum of their class weights.
    total_weight: Tensor
    #: Number of images in the global batch.
    global_size: int
    #: Number of processes that have at least one image of the global batch.
    num_processes: int = 1

    @property
    def max_local_size(self) -> int:
        """Return the number of images in the largest local batch of all processes."""
        return -(-self.global_size // self.num_processes)

    def split(self, learner: Learner) -> Iterator[tuple[Tensor, ...]]:
        """Mix the images if the recipe asks for it, and yield micro-batches.

        Yields:
            Tuples of images, targets and labels. Targets are labels of shape (N,) or class probabilities of shape
            (N, classes). Labels have shape (N,); the label of a mixed image is its most probable class.
        """
        if not len(self.labels):
            return iter(())
        images, targets = learner.mix(self.images, self.labels)
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        # Processes that wait for each other in the forward pass must all use the same number of micro-batches.
        size = self.global_size // self.num_processes if learner.micro_batches.is_fixed else len(labels)
        return learner.micro_batches.split(images, targets, labels, size=size)


def make_local_batch(learner: Learner, images: Tensor, labels: Tensor) -> LocalBatch:
    """Create this process's local batch. The processes exchange the sizes of their parts.

    Raises:
        PeerError: If another process has died.
    """
    world = learner.hardware.world
    weight = learner.criterion.weigh(labels)  # Mixing images with each other does not change the sum.
    if world.size == 1:
        return LocalBatch(images, labels, weight, len(labels))
    total_weight, size, num_processes = world.sum_numbers([float(weight), len(labels), bool(len(labels))])
    return LocalBatch(images, labels, torch.tensor(total_weight), int(size), int(num_processes))
