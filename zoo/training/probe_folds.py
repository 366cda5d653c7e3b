"""The folds in which a linear probe is cross-validated, to check labels and to rank backbones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.data.folds import assign_folds
from zoo.data.sample import Sample
from zoo.data.units import Labeled, choose_key, join_units

#: Number of folds; fewer if a class has fewer images, or if there are fewer groups. Ten folds, or three repetitions,
#: found no more planted errors.
_MOST = 5


@dataclass(frozen=True)
class ProbeFolds:
    """The labels and folds of images."""

    #: Names of the classes, sorted.
    classes: tuple[str, ...]
    #: Index of the class of each image, and its fold, both of shape (N,).
    labels: Tensor
    folds: Tensor
    #: Number of folds.
    count: int


def divide(samples: Sequence[Sample], clusters: Mapping[bytes, bytes], seed: int) -> ProbeFolds:
    """Divide images into folds.

    Args:
        samples: Images of at least two classes.
        clusters: Clusters of near copies, which are in one fold; see `zoo.data.examination.clusters`.
        seed: Seed of the folds.

    Raises:
        DataError: If a class has fewer than two different images, or all its images are in one group.
    """
    count = _choose_count(samples, clusters)
    folds = assign_folds(samples, count, seed=seed, clusters=clusters)
    classes = sorted({sample.file.class_name for sample in samples})
    number_of = {name: number for number, name in enumerate(classes)}
    labels = [number_of[sample.file.class_name] for sample in samples]
    return ProbeFolds(tuple(classes), torch.tensor(labels), torch.tensor(folds), count)


def _choose_count(samples: Sequence[Sample], clusters: Mapping[bytes, bytes]) -> int:
    """Return the number of folds: at least 2, and at most the number of groups and of each class's different images."""
    images = [Labeled(sample.file.class_name, choose_key(sample, clusters), sample.file.group) for sample in samples]
    digests: defaultdict[str, set[bytes]] = defaultdict(set)
    for image in images:
        digests[image.class_name].add(image.digest)
    return max(2, min(_MOST, len(join_units(images)), *map(len, digests.values())))
