"""The summary of the GPU check: gpu.json with all results, and gpu.md, a section for docs/benchmarks.md."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from results import FAILED, MEASURED, PASSED, SKIPPED, Result
from sections import put_section

#: Suffix of the names of zoo's results, after a comma. The results of the steps stage have no suffix.
OURS = "zoo"
PACKAGES = ("zoo-backbones", "torch", "torchvision", "timm")
HEADERS = {
    "steps": "| network | zoo, images/s | minimal step / zoo's | peak memory | minimal |",
    "epochs": "| network | zoo, images/s | / its steps | / timm | / tutorial | peak memory | tutorial's peak |",
    "frozen": "| network | zoo | tutorial | tutorial / zoo |",
    "compile": "| network | step, images/s | / uncompiled | compilation | epoch, images/s | / timm |",
}
ABOUT = {
    "steps": "Forward pass, backward pass and optimizer step, with images on the device. "
    "If the ratio is above 1.00, zoo is faster.",
    "epochs": "Training epochs, including decoding. The first epoch and validation do not count.",
    "frozen": "Training a new last layer on a frozen network with an empty cache, from the call to its return.",
    "compile": "The training step with torch.compile compared with the same step without it, and compiled epochs.",
}


def describe_machine(device: str) -> dict[str, str]:
    """Return the date, the device and the versions."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else platform.machine()
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": f"{device}: {name}, {os.cpu_count()} cores",
        "versions": f"{versions}, Python {platform.python_version()}",
    }


def write_summary(folder: Path, machine: Mapping[str, str], results: Sequence[Result], *, quick: bool) -> None:
    """Write gpu.json and gpu.md."""
    found = {"machine": machine, "quick": quick, "results": [dataclasses.asdict(result) for result in results]}
    replace_file(folder / "gpu.json", json.dumps(found, indent=1) + "\n")
    replace_file(folder / "gpu.md", write_section(machine, results, quick=quick))


def replace_file(path: Path, text: str) -> None:
    """Write a file atomically, because this process may be killed at any time."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def update_page(page: Path, folder: Path) -> None:
    """Replace the GPU section of a page with gpu.md from a folder."""
    section = (folder / "gpu.md").read_text(encoding="utf-8")
    replace_file(page, put_section(page.read_text(encoding="utf-8"), section))


def write_section(machine: Mapping[str, str], results: Sequence[Result], *, quick: bool) -> str:
    """Return the section."""
    lines = ["## On a GPU", "", *(f"- {name}: {value}" for name, value in machine.items())]
    if quick:
        lines.append("- **This is a trial run; its numbers are meaningless.**")
    lines += ["", *write_correctness([result for result in results if not result.figures])]
    for stage, header in HEADERS.items():
        if rows := list(write_rows(stage, [result for result in results if result.outcome == MEASURED])):
            rule = re.sub(r"[^|]+", "---", header)
            lines += ["", f"### {stage.capitalize()}", "", ABOUT[stage], "", header, rule, *rows]
    return "\n".join(lines) + "\n"


def write_correctness(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line with the number of checks for each outcome, and a line for each check that did not pass."""
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in (PASSED, FAILED, SKIPPED)}
    yield f"{counts[PASSED]} checks passed, {counts[FAILED]} failed, {counts[SKIPPED]} skipped."
    others = [result for result in results if result.outcome != PASSED]
    if others:
        yield ""
    yield from (f"- {result.outcome}: {result.stage}, {result.name}: {result.note}" for result in others)


def write_rows(stage: str, results: Sequence[Result]) -> Iterator[str]:
    """Yield the rows of a stage's table."""
    figures = {(result.stage, result.name): result.figures for result in results}
    notes = {(result.stage, result.name): result.note for result in results}
    for (where, name), found in figures.items():
        network, _, who = name.partition(", ")
        if where == stage and who == (OURS if stage == "epochs" else ""):
            cells = CELLS[stage](network, found, figures)
            yield f"| {network}, {notes[stage, name]} | {' | '.join(cells)} |"


Figures = Mapping[str, float]
Known = Mapping[tuple[str, str], Figures]


def write_step_cells(_name: str, found: Figures, _known: Known) -> list[str]:
    """Return the cells of a row of the steps stage."""
    ratio = f"{found['bare_over_zoo']:.2f} ({found['lowest']:.2f} to {found['highest']:.2f})"
    return [f"{found['images_per_second']:,.0f}", ratio, show_mib(found, "peak_mib"), show_mib(found, "bare_peak_mib")]


def write_epoch_cells(name: str, found: Figures, known: Known) -> list[str]:
    """Return the cells of a row of the epochs stage."""
    rate = found["images_per_second"]
    others = [known.get(key) for key in (("steps", name), ("epochs", f"{name}, timm"), ("epochs", f"{name}, tutorial"))]
    ratios = [f"{rate / other['images_per_second']:.2f}" if other else "" for other in others]
    peaks = [show_mib(each or {}, "peak_mib") for each in (found, others[-1])]
    return [f"{rate:,.0f}", *ratios, *peaks]


def write_frozen_cells(_name: str, found: Figures, _known: Known) -> list[str]:
    """Return the cells of a row of the frozen stage."""
    return [f"{found['seconds']:.1f} s", f"{found['tutorial_seconds']:.1f} s", f"{found['tutorial_over_zoo']:.1f}"]


def write_compile_cells(name: str, found: Figures, known: Known) -> list[str]:
    """Return the cells of a row of the compile stage."""
    step, ratio = f"{found['images_per_second']:,.0f}", f"{found['plain_over_compiled']:.2f}"
    ours, timm = (known.get(("compile", f"{name}, {who}"), {}).get("images_per_second") for who in (OURS, "timm"))
    epoch = f"{ours:,.0f}" if ours else ""
    return [step, ratio, f"{found['compile_seconds']:.0f} s", epoch, f"{ours / timm:.2f}" if ours and timm else ""]


def show_mib(found: Figures, name: str) -> str:
    """Format an amount of memory, or return an empty string if it is unknown."""
    return f"{found[name]:,.0f} MiB" if name in found else ""


CELLS = {
    "steps": write_step_cells,
    "epochs": write_epoch_cells,
    "frozen": write_frozen_cells,
    "compile": write_compile_cells,
}
