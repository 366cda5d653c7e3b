"""How much accuracy is lost by fine-tuning what a ranking puts first: the regret, with bootstrap intervals."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.training.rank.record import Ranked, order
from zoo.training.rank.scores import Scores

#: Number of bootstrap samples.
SAMPLES = 1000
#: Names of the ways to choose a backbone, in the order of the table.
METHODS = ("zoo rank", "linear probe", "nearest neighbors", "LogME", "best by catalog", "largest")


@dataclass(frozen=True)
class Cell:
    """The results on one data set with one recipe."""

    task: str
    recipe: str
    #: Record and scores of each backbone, with its accuracy in the catalog of the pool.
    found: Sequence[tuple[Ranked, Scores]]
    #: For each backbone by name, whether each validation image is classified correctly after fine-tuning.
    truth: Mapping[str, Tensor]
    #: Names of the backbones whose weights were trained on photos, which the catalog lists first.
    real: frozenset[str]

    def only(self, names: frozenset[str]) -> Cell:
        """Return the cell with only some of the backbones."""
        found = [pair for pair in self.found if pair[0].name in names]
        return replace(self, found=found, truth={name: self.truth[name] for name in names})


def choose(cell: Cell) -> dict[str, list[str]]:
    """Return the backbones that each method puts first and second."""
    records = [record for record, _ in cell.found]

    def best(key: Callable[[Ranked], float]) -> list[str]:
        return [record.name for record in sorted(records, key=lambda one: (-key(one), one.name))[:2]]

    suggested = [record.name for record in order(cell.found) if record.suggested]
    known = {record.name: (record.name in cell.real, record.catalog or 0.0) for record in records}
    by_catalog = sorted(known, key=lambda name: (*known[name], name), reverse=True)
    return {
        "zoo rank": suggested,
        "linear probe": best(lambda one: one.accuracy or 0.0),
        "nearest neighbors": best(lambda one: one.knn or 0.0),
        "LogME": best(lambda one: one.logme or 0.0),
        "best by catalog": by_catalog[:2],
        "largest": best(lambda one: one.params),
    }


def measure_regret(cell: Cell, names: Sequence[str], images: Tensor | None = None) -> float:
    """Return how many points of accuracy the best of some backbones loses to the best of all.

    Args:
        cell: The results.
        names: The backbones that are fine-tuned.
        images: Indices of the validation images of a bootstrap sample; None means all of them.
    """
    accuracies = {name: _mean(correct, images) for name, correct in cell.truth.items()}
    return 100 * (max(accuracies.values()) - max(accuracies[name] for name in names))


def bootstrap_regret(cells: Sequence[Cell], choices: Sequence[Sequence[str]]) -> tuple[float, float, float]:
    """Return the mean regret and its 95% interval, over samples of the cells and of their validation images."""
    generator, chance = torch.Generator().manual_seed(0), random.Random(0)
    pairs = list(zip(cells, choices, strict=True))
    means = []
    for _ in range(SAMPLES):
        drawn = chance.choices(pairs, k=len(pairs))
        means.append(statistics.fmean(measure_regret(cell, names, _draw(cell, generator)) for cell, names in drawn))
    ranked = sorted(means)
    exact = statistics.fmean(measure_regret(cell, names) for cell, names in pairs)
    return exact, ranked[round(0.025 * SAMPLES)], ranked[round(0.975 * SAMPLES) - 1]


def bootstrap_top_group(cell: Cell, samples: int = 200) -> tuple[float, float]:
    """Return how often the truly best backbone has the first rank, and the mean number of backbones with it.

    Both the images of the ranking and the validation images are drawn again. If several backbones are truly the best,
    one of them is enough.
    """
    generator = torch.Generator().manual_seed(0)
    hits, sizes = [], []
    for _ in range(samples):
        count = len(cell.found[0][1].correct)
        drawn = torch.randint(count, (count,), generator=generator)
        found = [(record, replace(scores, correct=scores.correct[drawn])) for record, scores in cell.found]
        top = {record.name for record in order(found) if record.rank == 1}
        images = _draw(cell, generator)
        accuracies = {name: _mean(correct, images) for name, correct in cell.truth.items()}
        best = {name for name, accuracy in accuracies.items() if accuracy == max(accuracies.values())}
        hits.append(bool(best & top))
        sizes.append(len(top))
    return statistics.fmean(hits), statistics.fmean(sizes)


def judge(cells: Sequence[Cell], title: str) -> list[str]:
    """Return a table in Markdown: the mean regret of each method, and how good the first group of `zoo rank` is."""
    choices = [choose(cell) for cell in cells]
    lines = [f"| {title} | regret@1, points | 95% | regret@2, points | 95% |", "|---|---|---|---|---|"]
    for method in METHODS:
        shown = []
        for count in (1, 2):
            mean, low, high = bootstrap_regret(cells, [chosen[method][:count] for chosen in choices])
            shown += [f"{mean:.2f}", f"{low:.2f} to {high:.2f}"]
        lines.append(f"| {method} | {' | '.join(shown)} |")
    groups = [bootstrap_top_group(cell) for cell in cells]
    hits, sizes = (statistics.fmean(values) for values in zip(*groups, strict=True))
    lines += ["", f"The truly best backbone has the first rank in {hits:.0%} of the bootstrap samples. On average, "]
    lines[-1] += f"{sizes:.1f} of {len(cells[0].found)} backbones have the first rank."
    return lines


def _draw(cell: Cell, generator: torch.Generator) -> Tensor:
    count = len(next(iter(cell.truth.values())))
    return torch.randint(count, (count,), generator=generator)


def _mean(correct: Tensor, images: Tensor | None) -> float:
    return (correct if images is None else correct[images]).float().mean().item()
