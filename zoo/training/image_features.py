"""The features of images that are not trained on: what the frozen part of a pretrained backbone returns for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from zoo.data.bit_depth import choose_bits
from zoo.data.dataset import Images
from zoo.data.examination.check import Examined, examine_listing
from zoo.data.listing import Listing
from zoo.data.pixel_cache import Views
from zoo.engine.device import allowing_tf32, place
from zoo.engine.features.extractor import build_extractor
from zoo.engine.features.features import Features
from zoo.engine.features.pool import pool_features
from zoo.engine.features.tail import CannotSplit
from zoo.engine.phase import Phase
from zoo.errors import DataError, OptionError
from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.build import Network, attach_head, build_backbone, try_network
from zoo.models.freeze import digest_frozen
from zoo.models.weights.choose import choose_input
from zoo.plugin import InputSpec
from zoo.training.job import Job
from zoo.training.prepare import freeze, report_input


@dataclass(frozen=True)
class ImageFeatures:
    """The images of a data source, and their features."""

    examined: Examined
    #: Features of the readable images, in their order, float32 of shape (N, width).
    features: Tensor
    #: Input of the backbone, with the number of bits of 16-bit images.
    input: InputSpec


def compute_features(job: Job, listing: Listing, origin: str) -> ImageFeatures:
    """Examine the images of all splits, and compute their features or read them from the cache.

    Call this in `zoo.training.prepare.run_context`. A run that trains a head on the same images without augmentation
    uses the same cached features.

    Args:
        job: The backbone, its weights and the recipe, which trains only the head.
        listing: Images of the data source.
        origin: Name of the data source.

    Raises:
        DataError: If fewer than two classes have readable images.
        ZooError: If the backbone cannot be built or its features cannot be computed once and cached.
    """
    model, weights = build_backbone(job.resolved.backbone, job.weights, job.progress, job.recipe.channels)
    expected = choose_input(job.resolved.backbone, job.weights)
    report_input(job, expected)
    views = Views.build(job.recipe.preprocessing.apply(expected), "none")
    channels = views.plain.channels
    examined = examine_listing(listing, origin, keep=views, progress=job.progress, channels=channels)
    images = pool_splits(examined)
    bits = choose_bits(images.train, examined.traits, job.progress, channels)
    network = attach_head(job.resolved.backbone, weights, model, job.recipe.head, len(images.classes))
    network = replace(network, preprocessing=replace(job.recipe.preprocessing, bits=bits))
    views.use_bits(network.input.bits)
    return ImageFeatures(examined, compute_rows(job, network, images, views), network.input)


def pool_splits(examined: Examined) -> Images:
    """Return the images of all splits as those of one split.

    Raises:
        DataError: If fewer than two classes have readable images.
    """
    classes = tuple(sorted({sample.file.class_name for sample in examined.samples}))
    if len(classes) < 2:
        raise DataError(f"{examined.origin!r} has readable images of {len(classes)} classes; provide at least two.")
    return Images(
        origin=examined.origin, classes=classes, train=examined.samples, val=(), test=(), left_out=(), fingerprint=""
    )


def compute_rows(job: Job, network: Network, images: Images, views: Views) -> Tensor:
    """Compute the features of the images of train, or read them from the cache.

    Args:
        job: The backbone, its weights and the recipe, which trains only the head.
        network: The network, whose frozen part computes the features.
        images: Images, all of them in train.
        views: Preprocessing of the images.

    Returns:
        Features, float32 of shape (N, width).

    Raises:
        ZooError: If the features cannot be computed once and cached.
    """
    blocks = list_blocks(network.backbone, network.model, network.head)
    place(network.model, job.hardware)
    try_network(network, len(images.classes), job.hardware.device)
    trainable = list_trainable(blocks, network.head, job.recipe.scope)
    digest = digest_frozen(network.model, trainable, network.untrained)
    phase = Phase(network, freeze(network, blocks, job.recipe), images, views, job.recipe, job.hardware)
    with allowing_tf32(job.hardware):
        try:
            extractor = build_extractor(phase, digest, job.progress)
        except CannotSplit as reason:
            raise OptionError(
                f"the features of {network.backbone.name} cannot be computed on their own: {reason}; choose a "
                "different `backbone`."
            ) from reason
        return pool_features(Features(extractor, job.progress, is_last=True).plain("train"), extractor.tail.shapes)
