"""The result of a candidate, and how results are ordered."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from zoo.engine.inference_cost import InferenceCost
from zoo.runs.report.numbers import Interval, measure_difference, measure_interval
from zoo.training.rank.candidates import Candidate
from zoo.training.rank.scores import Scores

#: Why a candidate is suggested: it is the first of the ranking, has the best published accuracy, has the best accuracy
#: of the nearest neighbors or of the probe, or is the second of the ranking.
FIRST, BY_CATALOG, BY_NEIGHBORS, BY_PROBE, NEXT = "first", "catalog", "neighbors", "probe", "next"


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A candidate and its result. Accuracies are from 0 to 1 unless stated otherwise; what is unknown is None."""

    #: ``namespace/name@TAG``, or ``namespace/name=FILE``.
    name: str
    #: Rank, from 1. Candidates that the images cannot tell apart share a rank. None if the candidate was not ranked.
    rank: int | None = None
    backbone: str
    #: Tag of the weights, or path of the file.
    weights: str
    #: Accuracy of a linear probe in cross-validation, and its 95% confidence interval.
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    #: Accuracy of the nearest neighbors in the same folds, and its 95% confidence interval.
    knn: float | None = None
    knn_low: float | None = None
    knn_high: float | None = None
    #: LogME; see `zoo.engine.logme`.
    logme: float | None = None
    #: Cross-entropy of the probe.
    loss: float | None = None
    #: Top-1 accuracy on ImageNet-1k in percent, as published.
    catalog: float | None
    params: int
    #: Size of the weights file in bytes.
    bytes: int | None = None
    license: str
    #: Images that the network classifies per second on this machine, without decoding.
    images_per_second: float | None = None
    #: Peak size of all tensors in bytes while one image is classified.
    memory: int | None = None
    #: Number of images.
    images: int
    #: Reasons to fine-tune this candidate: any of ``first``, ``catalog``, ``neighbors``, ``probe``
    #: and ``next``.
    suggested: tuple[str, ...] = ()
    #: Why the candidate was not ranked, or why its fine-tuning failed.
    problem: str | None = None
    #: Run folder of its fine-tuning, the accuracy on the images of ``tuned_split``, and its 95% confidence interval.
    run: str | None = None
    tuned: float | None = None
    tuned_low: float | None = None
    tuned_high: float | None = None
    tuned_split: str | None = None
    #: Whether these images cannot tell its run from the best one.
    tuned_close: bool = False


def make_record(candidate: Candidate, images: int, problem: str | None = None) -> Ranked:
    """Return the record of a candidate without scores and rank.

    Args:
        candidate: The candidate.
        images: Number of images.
        problem: Why it was not ranked, or None.
    """
    backbone, published = candidate.resolved.backbone, candidate.published
    return Ranked(
        name=candidate.name,
        backbone=backbone.name,
        weights=candidate.weights,
        catalog=published.accuracy if published else None,
        params=backbone.params,
        license=candidate.license,
        images=images,
        problem=problem,
    )


def add_scores(record: Ranked, scores: Scores, cost: InferenceCost) -> Ranked:
    """Return a record with its scores, and what the network costs."""
    probe, knn = (measure_interval(int(found.sum()), len(found)) for found in (scores.correct, scores.knn))
    return replace(
        record,
        accuracy=scores.correct.float().mean().item(),
        low=probe.low,
        high=probe.high,
        knn=scores.knn.float().mean().item(),
        knn_low=knn.low,
        knn_high=knn.high,
        logme=scores.logme,
        loss=scores.loss,
        bytes=scores.bytes,
        images_per_second=cost.images_per_second,
        memory=cost.memory,
    )


def order(found: Sequence[tuple[Ranked, Scores]]) -> list[Ranked]:
    """Return records with their ranks and suggestions, the best first.

    A candidate has the rank of the most accurate one of its group unless the images tell them apart; see `compare`.
    Within a rank, the published accuracy decides, because the images cannot. Candidates without one come last, ordered
    by the accuracy of the probe, then by its loss.
    """
    pairs = sorted(found, key=lambda pair: (-pair[1].correct.sum().item(), pair[1].loss, pair[0].name))
    ranks = assign_ranks([scores.correct for _, scores in pairs])
    records = [replace(record, rank=rank) for (record, _), rank in zip(pairs, ranks, strict=True)]
    records = sorted(records, key=lambda one: (one.rank, one.catalog is None, -(one.catalog or 0.0)))
    return suggest(records, {record.name: _identify(scores) for record, scores in found})


def _identify(scores: Scores) -> Hashable:
    """Return what is equal for the same features, up to rounding errors.

    The same weights with other preprocessing are another candidate: fine-tuning them may give another accuracy.
    """
    return tuple(scores.correct.tolist()), *_round(scores.loss, scores.logme)


def _round(*scores: float | None) -> tuple[float, ...]:
    return tuple(round(score or 0.0, 4) for score in scores)


def assign_ranks(correct: Sequence[Tensor]) -> list[int]:
    """Return the ranks of candidates, which are ordered by accuracy.

    Args:
        correct: For each candidate, whether each image was classified correctly, of shape (N,).
    """
    ranks: list[int] = []
    while len(ranks) < len(correct):
        first = len(ranks)
        # All candidates up to the last one that cannot be told apart, so that a lower accuracy never has a better rank.
        last = max(
            place for place in range(first, len(correct)) if compare(correct[first], correct[place]).low <= 0
        )  # fmt: skip
        ranks += [first + 1] * (last + 1 - first)
    return ranks


def compare(one: Tensor, other: Tensor) -> Interval:
    """Return the paired 95% confidence interval of a difference of accuracies; see `measure_difference`.

    Args:
        one: Whether each image was classified correctly, of shape (N,).
        other: The same for the other candidate.
    """
    wins, losses = (int((left & ~right).sum()) for left, right in ((one, other), (other, one)))
    return measure_difference(wins, losses, len(one))


def suggest(records: Sequence[Ranked], networks: Mapping[str, Hashable]) -> list[Ranked]:
    """Return ordered records of which at most two are suggested: the first one, and the best by published accuracy.

    Fine-tuning the best by catalog and the best on the images is the strategy of Renggli et al. 2022, "Which Model to
    Transfer? Finding the Needle in the Growing Haystack", https://arxiv.org/abs/2010.06402. If the first one is also
    the best by catalog, the best by nearest neighbors is suggested, too, or else the best by probe, or else the next
    one. The same network is never suggested twice.

    Args:
        records: Ordered records.
        networks: For each record by name, a value that is equal for two names of the same network.
    """
    if not records:
        return []
    others = [record for record in records if networks[record.name] != networks[records[0].name]]
    by_catalog = max(records, key=lambda one: one.catalog or 0.0)  # The first one of equal ones.
    by_neighbors = max(records, key=lambda one: (one.knn or 0.0, one.accuracy or 0.0, -(one.loss or 0.0)))
    by_probe = max(records, key=lambda one: (one.accuracy or 0.0, -(one.loss or 0.0)))
    reasons = [(FIRST, records[0]), (BY_NEIGHBORS, by_neighbors), (BY_PROBE, by_probe)]
    reasons += [(NEXT, record) for record in others[:1]]
    if by_catalog.catalog is not None:
        reasons.insert(1, (BY_CATALOG, by_catalog))
    name_of: dict[Hashable, str] = {}
    for _, record in reasons:
        name_of.setdefault(networks[record.name], record.name)
    chosen = list(name_of.values())[:2]
    return [
        replace(one, suggested=tuple(reason for reason, record in reasons if record.name == one.name))
        if one.name in chosen
        else one
        for one in records
    ]


def list_suggested(records: Sequence[Ranked], count: int) -> list[Ranked]:
    """Return the best candidates: first the suggested ones, then the others by rank.

    Of candidates with the same features, which have the same scores, only one is returned.
    """
    ranked = [record for record in records if record.rank is not None]
    distinct: dict[Hashable, Ranked] = {}
    for record in sorted(ranked, key=lambda record: not record.suggested):
        distinct.setdefault((record.accuracy, *_round(record.loss, record.logme)), record)
    return [*distinct.values()][:count]
