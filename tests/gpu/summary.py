"""What the GPU check leaves: gpu.json with all results, and gpu.md, the section for docs/benchmarks.md."""

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

#: Who trained, after the comma of a name: what has none compares steps.
OURS = "zoo"
PACKAGES = ("zoo-backbones", "torch", "torchvision", "timm")
HEADERS = {
    "steps": "| network | zoo, images/s | bare step / zoo's | peak memory | bare |",
    "epochs": "| network | zoo, images/s | over its steps | over timm | over tutorial | peak memory | of tutorial |",
    "frozen": "| network | zoo | tutorial | tutorial / zoo |",
    "compile": "| network | step, images/s | over uncompiled | compiling | epoch, images/s | over timm |",
}
ABOUT = {
    "steps": "Forward, backward and optimizer step, images already on the device; above 1.00 zoo is faster.",
    "epochs": "Training epochs with decoding, after a first one that warms up; validation is not counted.",
    "frozen": "A new last layer on a frozen network, from the call to its return, with an empty cache.",
    "compile": "The training step with torch.compile, beside the same step without it; and epochs, both compiled.",
}


def describe_machine(device: str) -> dict[str, str]:
    """Return where this is measured, and with which versions."""
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
    """Write a file whole or not at all: this process may be killed at any time."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def update_page(page: Path, folder: Path) -> None:
    """Put gpu.md of a folder into a page, in place of the section that is there."""
    section = (folder / "gpu.md").read_text(encoding="utf-8")
    replace_file(page, put_section(page.read_text(encoding="utf-8"), section))


def write_section(machine: Mapping[str, str], results: Sequence[Result], *, quick: bool) -> str:
    """Write the section."""
    lines = ["## On a GPU", "", *(f"- {name}: {value}" for name, value in machine.items())]
    if quick:
        lines.append("- **a trial run: these figures mean nothing**")
    lines += ["", *write_correctness([result for result in results if not result.figures])]
    for stage, header in HEADERS.items():
        if rows := list(write_rows(stage, [result for result in results if result.outcome == MEASURED])):
            rule = re.sub(r"[^|]+", "---", header)
            lines += ["", f"### {stage.capitalize()}", "", ABOUT[stage], "", header, rule, *rows]
    return "\n".join(lines) + "\n"


def write_correctness(results: Sequence[Result]) -> Iterator[str]:
    """Write how many checks passed, and which ones did not."""
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in (PASSED, FAILED, SKIPPED)}
    yield f"{counts[PASSED]} checks passed, {counts[FAILED]} failed, {counts[SKIPPED]} skipped."
    others = [result for result in results if result.outcome != PASSED]
    if others:
        yield ""
    yield from (f"- {result.outcome}: {result.stage}, {result.name}: {result.note}" for result in others)


def write_rows(stage: str, results: Sequence[Result]) -> Iterator[str]:
    """Write the rows of a stage's table."""
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
    """Write the cells of a row of the steps."""
    ratio = f"{found['bare_over_zoo']:.2f} ({found['lowest']:.2f} to {found['highest']:.2f})"
    return [f"{found['images_per_second']:,.0f}", ratio, show_mib(found, "peak_mib"), show_mib(found, "bare_peak_mib")]


def write_epoch_cells(name: str, found: Figures, known: Known) -> list[str]:
    """Write the cells of a row of the epochs."""
    rate = found["images_per_second"]
    others = [known.get(key) for key in (("steps", name), ("epochs", f"{name}, timm"), ("epochs", f"{name}, tutorial"))]
    ratios = [f"{rate / other['images_per_second']:.2f}" if other else "" for other in others]
    peaks = [show_mib(each or {}, "peak_mib") for each in (found, others[-1])]
    return [f"{rate:,.0f}", *ratios, *peaks]


def write_frozen_cells(_name: str, found: Figures, _known: Known) -> list[str]:
    """Write the cells of a row of the frozen stage."""
    return [f"{found['seconds']:.1f} s", f"{found['tutorial_seconds']:.1f} s", f"{found['tutorial_over_zoo']:.1f}"]


def write_compile_cells(name: str, found: Figures, known: Known) -> list[str]:
    """Write the cells of a row of the compile stage."""
    step, ratio = f"{found['images_per_second']:,.0f}", f"{found['plain_over_compiled']:.2f}"
    ours, timm = (known.get(("compile", f"{name}, {who}"), {}).get("images_per_second") for who in (OURS, "timm"))
    epoch = f"{ours:,.0f}" if ours else ""
    return [step, ratio, f"{found['compile_seconds']:.0f} s", epoch, f"{ours / timm:.2f}" if ours and timm else ""]


def show_mib(found: Figures, name: str) -> str:
    """Show memory, if it is known."""
    return f"{found[name]:,.0f} MiB" if name in found else ""


CELLS = {
    "steps": write_step_cells,
    "epochs": write_epoch_cells,
    "frozen": write_frozen_cells,
    "compile": write_compile_cells,
}
