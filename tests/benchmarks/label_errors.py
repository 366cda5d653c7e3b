"""Plant wrong labels among photos, and measure how many of them `zoo data check --labels` ranks first.

    python tests/benchmarks/label_errors.py FOLDER --backbone torchvision/mobilenet_v2 [--weights FILE]

FOLDER contains class folders, or splits with class folders. It is only read: the wrong labels exist only in memory. The
features are computed once, and then 5% of the images get a wrong label, 20 times with different seeds. The script fails
if fewer than 80% of the wrong labels are among the most doubtful 10% of the images, as a mean. It also prints how many
of them are reported, and how many of the reported labels are planted.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from zoo.data.examination.clusters import find_clusters
from zoo.data.sample import Sample
from zoo.data.source import list_images
from zoo.progress import Silent
from zoo.registry.recipe import Recipe
from zoo.registry.registry import open_registry
from zoo.training.image_features import ImageFeatures, compute_features
from zoo.training.job import resolve_job
from zoo.training.label_check import BACKBONE
from zoo.training.label_ranking import rank_labels
from zoo.training.prepare import run_context

#: Fraction of the images with a wrong label, and of the ranking in which they should be.
PLANTED, WORST = 0.05, 0.1
#: Smallest mean fraction of the planted labels that must be in the worst part of the ranking.
LEAST = 0.8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default=BACKBONE)
    parser.add_argument("--weights")
    parser.add_argument("--plantings", type=int, default=20)
    arguments = parser.parse_args()
    found = compute(arguments.folder, arguments.backbone, arguments.weights)
    samples = found.examined.samples
    clusters = find_clusters(samples, found.examined.traits)
    measured = [measure(plant(samples, seed), found.features, clusters) for seed in range(arguments.plantings)]
    ranked, reported, right = (statistics.fmean(values) for values in zip(*measured, strict=True))
    least = min(value for value, _, _ in measured)
    sys.stdout.write(
        f"{arguments.backbone}, {len(samples)} images, {len(measured)} plantings: {ranked:.1%} of the wrong labels are "
        f"in the worst {WORST:.0%} (at least {least:.1%}), {reported:.1%} are reported, {right:.1%} of the reported "
        "labels are planted\n"
    )
    return int(ranked < LEAST)


def compute(folder: Path, backbone: str, weights: str | None) -> ImageFeatures:
    registry = open_registry()
    job = resolve_job(backbone, str(folder), Recipe(weights=weights), registry, Silent())
    listing = list_images(str(folder), job.recipe.data_options, registry=registry, progress=Silent())
    with run_context(job):
        return compute_features(job, listing, str(folder))


def plant(samples: tuple[Sample, ...], seed: int) -> list[tuple[Sample, bool]]:
    """Return images, some of them with a wrong label, and whether the label is wrong."""
    classes = sorted({sample.file.class_name for sample in samples})
    rng = random.Random(seed)
    wrong = set(rng.sample(range(len(samples)), round(PLANTED * len(samples))))
    planted = []
    for number, sample in enumerate(samples):
        name = sample.file.class_name
        if number in wrong:
            name = rng.choice([other for other in classes if other != name])
        planted.append((replace(sample, file=replace(sample.file, class_name=name)), number in wrong))
    return planted


def measure(
    planted: list[tuple[Sample, bool]], features: Tensor, clusters: dict[bytes, bytes]
) -> tuple[float, float, float]:
    """Return the fractions of the planted labels in the worst part and among the reported ones, and the precision."""
    wrong = {sample.path for sample, is_wrong in planted if is_wrong}
    samples = [sample for sample, _ in planted]
    ranking = rank_labels(samples, features, clusters=clusters, seed=0, progress=Silent())
    worst = {doubt.sample.path for doubt in ranking.doubts[: round(WORST * len(planted))]}
    reported = {doubt.sample.path for doubt in ranking.doubts if doubt.is_error}
    hits = len(wrong & reported)
    return len(wrong & worst) / len(wrong), hits / len(wrong), hits / max(1, len(reported))


if __name__ == "__main__":
    sys.exit(main())
