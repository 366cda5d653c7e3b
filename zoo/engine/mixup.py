"""Mixup and CutMix, which mix the images of a batch and their labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import one_hot

from zoo.engine.learner import Mix, mix_nothing


def build_mix(mixup: float, cutmix: float, num_classes: int) -> Mix:
    """Build a function that applies mixup, CutMix, or one of the two at random to each batch.

    The loss of a mixed image is the mean of its losses for the labels of both images, in the proportions of the
    mixture. If images have weights, each of the two losses is multiplied by the weight of its own image. The function
    uses torch's global random number generator. Sources: Zhang et al. 2017, arXiv:1710.09412 (mixup); Yun et al. 2019,
    arXiv:1905.04899 (CutMix).

    Args:
        mixup: Alpha of mixup's Beta distribution, or 0 for no mixup.
        cutmix: Alpha of CutMix's Beta distribution, or 0 for no CutMix.
        num_classes: Number of classes.
    """
    if not mixup and not cutmix:
        return mix_nothing
    from torchvision.transforms import v2  # type: ignore[import-untyped]  # no types; imported here because it is slow

    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    transforms = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
    transform = v2.RandomChoice(transforms) if len(transforms) > 1 else transforms[0]

    def mix(images: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, ...]:
        if weights is None:
            mixed: tuple[Tensor, Tensor] = transform(images, labels)
            return mixed
        images, shares = transform(images, one_hot(labels, num_classes) * weights[:, None])
        sums = shares.sum(1)
        return images, shares / sums[:, None], sums

    return mix
