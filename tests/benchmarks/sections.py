"""The GPU section of docs/benchmarks.md, which a separate command measures on a separate machine."""

from __future__ import annotations

BEGIN, END = "<!-- gpu: begin -->\n", "<!-- gpu: end -->\n"

#: Content of the section before the first measurement.
NOTHING_YET = """## On a GPU

zoo has not been run on a GPU yet, so there are no figures. `tests/gpu/run.sh` tests and measures zoo on one CUDA
device: first correctness, then the speed of training steps, epochs, the frozen part and torch.compile, compared
with a bare training step, the tutorial loop and timm's train.py. The script stops after five minutes, or after the
time set by `--minutes`. CI runs a short version on a CPU; the CUDA code is untested.
"""


def find_section(page: str) -> str | None:
    """Return the section between the markers of a page, or None if there are no markers."""
    _, _, rest = page.partition(BEGIN)
    section, found, _ = rest.partition(END)
    return section if found else None


def put_section(page: str, section: str) -> str:
    """Return the page with a new section between its markers, or at the end if there are no markers."""
    old = find_section(page)
    if old is None:
        return f"{page}\n{BEGIN}{section}{END}"
    return page.replace(f"{BEGIN}{old}{END}", f"{BEGIN}{section}{END}")
