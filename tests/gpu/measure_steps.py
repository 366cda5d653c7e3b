"""Stage ``steps``: images per second of zoo's training step, compared with a minimal step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median

from context import MIB, Context, measure_each, measured, read_context
from plan import Candidate
from results import Result
from steps import compare

STAGE = "steps"


def measure(context: Context, candidate: Candidate) -> Iterator[Result]:
    """Time pairs of zoo's step and the minimal one."""
    work, hardware = context.make_workload(candidate), context.hardware
    found = compare(work, hardware)
    yield measured(
        STAGE,
        candidate.name,
        f"{hardware.precision}, batches of {work.batch_size}",
        images_per_second=work.batch_size / median(found.ours),
        bare_over_zoo=median(found.ratios),
        lowest=min(found.ratios),
        highest=max(found.ratios),
        peak_mib=found.ours_memory and found.ours_memory / MIB,
        bare_peak_mib=found.other_memory and found.other_memory / MIB,
    )


if __name__ == "__main__":
    context = read_context()
    measure_each(STAGE, context.plan.candidates, partial(measure, context))
