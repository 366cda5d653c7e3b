"""Batches whose images are mixed with one another, and their labels with them."""

from __future__ import annotations

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
    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    transforms = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
    if not transforms:
        return mix_nothing
    mix: Mix = v2.RandomChoice(transforms) if len(transforms) > 1 else transforms[0]
    return mix
