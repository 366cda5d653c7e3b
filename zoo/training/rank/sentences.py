"""Results in words."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.runs.report.numbers import show_percent
from zoo.training.rank.record import BY_CATALOG, BY_NEIGHBORS, BY_PROBE, FIRST, NEXT, Ranked


def describe_record(record: Ranked) -> str:
    """Return a line about the result of a candidate."""
    if record.problem:
        return f"{record.name}: not ranked: {record.problem}"
    return (
        f"{record.name}: linear probe {show_percent(record.accuracy)}, nearest neighbors {show_percent(record.knn)}, "
        f"{record.images_per_second:.0f} images per second"
    )


def describe_suggestion(records: Sequence[Ranked]) -> str:
    """Return a sentence about what to fine-tune, and why."""
    found = [record for record in records if record.suggested]
    if not found:
        return "no backbone could be ranked"
    reasons = [f"{record.name} ({_explain(record)})" for record in found]
    return f"fine-tune these two: {' and '.join(reasons)}" if len(found) > 1 else f"fine-tune {reasons[0]}"


def describe_winner(records: Sequence[Ranked]) -> str:
    """Return a sentence about the best fine-tuned candidate, or an empty string if there is none."""
    tuned = sorted((record for record in records if record.tuned is not None), key=_read_accuracy, reverse=True)
    if not tuned:
        return ""
    best, *others = tuned
    split = "test" if best.tuned_split == "test" else "validation"
    found = (
        f"{best.name} is best: {split} accuracy {show_percent(best.tuned)}, 95% interval "
        f"{show_percent(best.tuned_low)} to {show_percent(best.tuned_high)}, in {best.run}"
    )
    close = [other.name for other in others if other.tuned_close]
    notes = [f"the {split} images cannot tell {' and '.join(close)} from it"] if close else []
    notes += [f"an accuracy that is the best of {len(tuned)} is optimistic"] if others else []
    return "; ".join([found, *notes])


def _explain(record: Ranked) -> str:
    """Return the most important reasons why a candidate is suggested."""
    texts = {
        FIRST: "first in the ranking",
        BY_CATALOG: f"best by catalog: {record.catalog}% on ImageNet",
        BY_NEIGHBORS: "best by nearest neighbors",
        BY_PROBE: "best by linear probe",
        NEXT: "next in the ranking",
    }
    reasons = [texts[reason] for reason in record.suggested if reason != NEXT or record.suggested == (NEXT,)]
    return ", ".join([*reasons, f"{show_percent(record.accuracy)} here"])


def _read_accuracy(record: Ranked) -> float:
    return record.tuned or 0.0
