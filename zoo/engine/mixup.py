"""Batches whose images are mixed with one another, and their labels with them."""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]  # torchvision has no types

from zoo.engine.learner import Mix, mix_nothing


def build_mix(mixup: float, cutmix: float, num_classes: int) -> Mix:
    """Build what lays images over each other, cuts parts of one into another, or either at random.

    It draws from torch's own generator. Sources: Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019,
    arXiv:1905.04899.

    Args:
        mixup: alpha of the Beta distribution of the shares, 0 for none.
        cutmix: the same, of the parts that are cut out.
        num_classes: how many classes there are.
    """
    kinds = [
        kind(alpha=alpha, num_classes=num_classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    if not kinds:
        return mix_nothing
    chosen = v2.RandomChoice(kinds) if len(kinds) > 1 else kinds[0]

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        mixed, shares = chosen(images, labels)
        return mixed, shares

    return mix
