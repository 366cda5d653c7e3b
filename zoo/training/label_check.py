"""Find labels that are probably wrong, with a cross-validated linear probe on the features of a backbone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zoo.data.examination import kinds
from zoo.data.examination.check import Examination, summarize
from zoo.data.examination.clusters import find_clusters
from zoo.data.examination.findings import Finding, sort_by_kind
from zoo.data.listing import Listing
from zoo.data.sample import Sample
from zoo.data.source import list_images, name_source
from zoo.engine.similar_images import MAX_COMPARED, list_similar_pairs
from zoo.errors import DataError, OptionError
from zoo.files.limits import EXAMINED_IMAGES
from zoo.plugin import InputSpec
from zoo.progress import Progress, choose_progress
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.training.image_features import compute_features
from zoo.training.job import Job, resolve_job
from zoo.training.label_ranking import LabelDoubt, LabelRanking, rank_labels
from zoo.training.prepare import run_context

#: Backbone whose features are used by default. It is small, and its features found most planted errors.
BACKBONE = "torchvision/mobilenet_v2"
#: Options that apply to the features of images.
_OPTIONS = (
    "channels", "columns", "device", "image_size", "label_from", "mean", "precision", "resize", "seed", "std",
    "weights", "workers",
)  # fmt: skip


@dataclass(frozen=True)
class LabelCheck:
    """What is known about the images of a data source and their labels."""

    #: The examination of the images. Its findings include the doubtful labels, the most doubtful first.
    examination: Examination
    #: Name of the backbone and its weights.
    backbone: str
    #: Input of the backbone.
    input: InputSpec
    #: All images, the most doubtful label first.
    ranking: LabelRanking


def check_labels(
    data: Any,
    *,
    backbone: str = BACKBONE,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> LabelCheck:
    """Examine the images of a data source, and find labels that are probably wrong.

    The images of all splits are divided into folds. A linear probe on the features of all other folds predicts the
    labels of each fold, and confident learning compares these predictions with the given labels.

    Args:
        data: Data set, as for `zoo.finetune`. Its files are only read.
        backbone: Name of the backbone that computes the features.
        registry: Registry in which names are looked up. Default: all installed plugins.
        progress: Receives messages and progress. Default: they are shown in notebooks, and discarded elsewhere.
        **options: Fields of `zoo.Recipe` about the data, the weights, the preprocessing and the device.

    Raises:
        ZooError: If a name does not exist, or the data or an option is invalid; see `zoo.errors`.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionError("labels are checked in a single process; start it without torchrun.")
    if unused := sorted(options.keys() - set(_OPTIONS)):
        raise OptionError(f"`{unused[0]}` does not change the check of labels; the options are {', '.join(_OPTIONS)}.")
    registry, progress = registry or open_registry(), progress or choose_progress()
    job = resolve_job(backbone, data, make_recipe(options), registry, progress)
    if job.weights.is_random:
        raise OptionError("labels are checked with pretrained features, so `weights` must not be none.")
    with run_context(job):
        return _check(job, _list_images(job), name_source(data))


def _list_images(job: Job) -> Listing:
    """List the images, and refuse data that cannot be checked before any image is decoded."""
    listing = list_images(job.data, job.recipe.data_options, registry=job.registry, progress=job.progress)
    if len(listing.files) > EXAMINED_IMAGES.read():
        raise DataError(f"checking labels needs the features of {EXAMINED_IMAGES.explain(len(listing.files))}.")
    classes = {file.class_name for file in listing.files}
    if len(classes) < 2:
        found = f"only the class {min(classes)!r}" if classes else "no images"
        raise DataError(f"labels can be checked only if there are at least two classes, but the data has {found}.")
    return listing


def _check(job: Job, listing: Listing, origin: str) -> LabelCheck:
    found = compute_features(job, listing, origin)
    samples = found.examined.samples
    similar = _list_similar(samples, found.features)
    clusters = find_clusters(samples, found.examined.traits, similar)
    ranking = rank_labels(samples, found.features, clusters=clusters, seed=job.recipe.seed, progress=job.progress)
    _report_weak(ranking, job.progress)
    if len(samples) > MAX_COMPARED:
        job.progress.say(f"note: crops and mirrored copies are found only in up to {MAX_COMPARED:,} images")
    examination = summarize(found.examined, similar)
    doubtful = (_describe(doubt) for doubt in ranking.doubts if doubt.is_error)
    return LabelCheck(
        examination=replace(examination, findings=tuple(sort_by_kind((*examination.findings, *doubtful)))),
        backbone=f"{job.resolved.backbone.name}@{job.weights.label}",
        input=found.input,
        ranking=ranking,
    )


def _report_weak(ranking: LabelRanking, progress: Progress) -> None:
    """Warn if the probes are no better than a guess, because the doubts then say nothing."""
    counts = Counter(doubt.label for doubt in ranking.doubts)
    name, most = counts.most_common(1)[0]
    share = most / len(ranking.doubts)
    if round(ranking.accuracy * len(ranking.doubts)) <= most:
        progress.say(
            f"warning: the probes predict {ranking.accuracy:.1%} of the labels, but {share:.1%} of the images have "
            f"the label {name!r}, so the doubtful labels say nothing; choose a different `backbone`, or "
            "add images"
        )


def _list_similar(samples: Sequence[Sample], features: Tensor) -> list[tuple[bytes, bytes]]:
    """Return the digests of pairs of images with nearly the same features."""
    rows = {sample.digest: row for row, sample in enumerate(samples)}  # One row of each group of exact copies.
    digests = sorted(rows)
    pairs = list_similar_pairs(features[torch.tensor([rows[digest] for digest in digests])])
    return [(digests[one], digests[other]) for one, other in pairs]


def _describe(doubt: LabelDoubt) -> Finding:
    detail = (
        f"more likely {doubt.suggested!r} ({doubt.suggested_probability:.1%}) than {doubt.label!r} "
        f"({doubt.probability:.1%})"
    )
    file = doubt.sample.file
    return Finding(kinds.DOUBTFUL_LABEL, file.split, file.class_name, str(file.path), detail)
