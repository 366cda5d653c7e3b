"""Score one candidate: its speed, a pass over all images, and a probe and nearest neighbors on its features."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import nll_loss

from zoo.data.pixel_cache import Views
from zoo.engine.device import allowing_tf32, place
from zoo.engine.inference_cost import InferenceCost, measure_cost
from zoo.engine.linear_probe import cross_validate
from zoo.engine.logme import measure_logme
from zoo.engine.nearest_neighbors import vote
from zoo.errors import OptionError, WeightsError
from zoo.files.download import sha256_of
from zoo.files.processes import read_node
from zoo.files.versions import list_upstream, read_versions
from zoo.models.build import Network, attach_head, build_backbone, try_network
from zoo.models.weights.choose import choose_input
from zoo.models.weights.locate import find_weights, locate_weights
from zoo.registry.preprocessing import Preprocessing
from zoo.training.image_features import compute_rows
from zoo.training.job import Job
from zoo.training.prepare import report_input, run_context
from zoo.training.rank.candidates import Candidate, Filters
from zoo.training.rank.images import RankImages
from zoo.training.rank.scores import FORMAT, Scores, find_scores, store_scores


def score(candidate: Candidate, job: Job, images: RankImages, filters: Filters) -> tuple[Scores, InferenceCost]:
    """Return the scores of a candidate, from the cache if they were computed before, and the cost that it has now.

    Args:
        candidate: A candidate without a problem.
        job: The same candidate as a request to train a head.
        images: Images and their folds.
        filters: Whether to download weights, and the smallest speed.

    Raises:
        ZooError: If the candidate cannot be scored.
    """
    path = _locate(candidate, job, filters)
    preprocessing = replace(job.recipe.preprocessing, bits=images.bits)
    about = _describe(job, preprocessing, path) | images.describe()
    with run_context(job):
        network = _build(job, images, preprocessing)
        cost = _measure_cost(job, network, len(images.images.classes))
        _require_speed(cost.images_per_second, filters)
        found = find_scores(about, len(images.labels))
        if found is None:
            found = _compute(job, images, network, path.stat().st_size)
            store_scores(about, found)
    return found, cost


def _locate(candidate: Candidate, job: Job, filters: Filters) -> Path:
    """Return the path of the weights file, and download it if that is allowed."""
    source = candidate.source
    assert source is not None
    if source.file:
        if not source.file.is_file():
            raise WeightsError(f"there is no file {source.file}.")
        return source.file
    assert source.weights is not None
    found = (locate_weights if filters.fetch else find_weights)(source.weights, job.progress)
    if found is None:
        raise WeightsError("its weights are not on this machine; add `fetch` to download them.")
    return found


def _describe(job: Job, preprocessing: Preprocessing, path: Path) -> dict[str, Any]:
    """Return everything that determines the scores, apart from the images."""
    backbone = job.resolved.backbone
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    return {
        "format": FORMAT,
        "backbone": [backbone.name, backbone.upstream, job.registry.find_origin(backbone)],
        "weights": [digest, job.weights.tag, job.weights.prefix],
        "input": dataclasses.asdict(preprocessing.apply(choose_input(backbone, job.weights))),
        "hardware": [job.hardware.device.type, job.hardware.precision, read_node()],
        "versions": read_versions("zoo", "torch", "torchvision", "pillow", *list_upstream(backbone.upstream)),
    }


def _build(job: Job, images: RankImages, preprocessing: Preprocessing) -> Network:
    backbone = job.resolved.backbone
    model, weights = build_backbone(backbone, job.weights, job.progress, job.recipe.channels)
    report_input(job, choose_input(backbone, job.weights))
    network = attach_head(backbone, weights, model, job.recipe.head, len(images.images.classes))
    return replace(network, preprocessing=preprocessing)


def _compute(job: Job, images: RankImages, network: Network, size: int) -> Scores:
    views = Views.build(network.input, "none")
    features = compute_rows(job, network, images.images, views)
    if broken := int((~features.isfinite().all(1)).sum()):
        raise WeightsError(f"its features are not finite for {broken} of {len(features)} images.")
    with job.progress.track("training probes", len(features)) as advance:
        probabilities = cross_validate(features, images.labels, images.folds, advance)
    return Scores(
        **_judge(probabilities, images.labels),
        knn=vote(features, images.labels, images.folds) == images.labels,
        logme=measure_logme(features, images.labels),
        bytes=size,
    )


def _measure_cost(job: Job, network: Network, num_classes: int) -> InferenceCost:
    place(network.model, job.hardware)
    try_network(network, num_classes, job.hardware.device)
    with allowing_tf32(job.hardware):
        return measure_cost(network.model, network.input.size, job.hardware)


def _judge(probabilities: Tensor, labels: Tensor) -> Mapping[str, Any]:
    loss = nll_loss(probabilities.clamp(min=1e-12).log(), labels).item()
    return {"correct": probabilities.argmax(1) == labels, "loss": loss}


def _require_speed(speed: float, filters: Filters) -> None:
    if filters.min_images_per_second is not None and speed < filters.min_images_per_second:
        raise OptionError(f"it classifies {speed:.1f} images per second, fewer than `min_images_per_second`.")
