"""Stage ``compile``: zoo's training step with and without torch.compile, and compiled epochs of zoo and timm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median

from context import Context, measure_each, measured, read_context, release_memory
from measure_epochs import train_ours, train_timm
from plan import Candidate
from results import Result
from steps import Step, Trained, Workload, build_ours, compare
from zoo.engine.device import Hardware

STAGE = "compile"


def build_plain(trained: Trained, work: Workload, hardware: Hardware) -> Step:
    """Return zoo's training step without torch.compile."""
    return build_ours(trained, replace(work, compile=False), hardware)


def measure(context: Context, candidate: Candidate) -> Iterator[Result]:
    """Time the step with and without torch.compile in pairs."""
    work, hardware = replace(context.make_workload(candidate), compile=True), context.hardware
    found = compare(work, hardware, build_plain)
    yield measured(
        STAGE,
        candidate.name,
        f"{hardware.precision}, batches of {work.batch_size}",
        images_per_second=work.batch_size / median(found.ours),
        plain_over_compiled=median(found.ratios),
        compile_seconds=found.first - work.steps * median(found.ours),
    )


def train(context: Context, candidate: Candidate) -> Iterator[Result]:
    """Train compiled epochs with zoo, and with timm if it can do the same work."""
    if candidate.timm_name:
        yield train_ours(context, candidate, compile_=True, stage=STAGE)
        release_memory()
        yield train_timm(context, candidate, "--torchcompile", stage=STAGE)


if __name__ == "__main__":
    context = read_context()
    for work in (measure, train):  # all steps before the epochs, because time may run out
        measure_each(STAGE, context.plan.compiled, partial(work, context))
