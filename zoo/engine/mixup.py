"""Mixup and CutMix, which mix the images of a batch and their labels."""

from __future__ import annotations

from torchvision.transforms import v2  # type: ignore[import-untyped]  # torchvision has no types

from zoo.engine.learner import Mix, mix_nothing


def build_mix(mixup: float, cutmix: float, num_classes: int) -> Mix:
    """Build a function that applies mixup, CutMix, or one of the two at random to each batch.

    It uses torch's global random number generator. Sources: Zhang et al. 2017, arXiv:1710.09412 (mixup); Yun et al.
    2019, arXiv:1905.04899 (CutMix).

    Args:
        mixup: Alpha of mixup's Beta distribution, or 0 for no mixup.
        cutmix: Alpha of CutMix's Beta distribution, or 0 for no CutMix.
        num_classes: Number of classes.
    """
    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    transforms = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
    if not transforms:
        return mix_nothing
    mix: Mix = v2.RandomChoice(transforms) if len(transforms) > 1 else transforms[0]
    return mix
