"""The sections of docs/benchmarks.md that separate commands measure: on a GPU, of rankings, and of short runs."""

from __future__ import annotations

BEGIN, END = "<!-- gpu: begin -->\n", "<!-- gpu: end -->\n"
#: Markers of the section about `zoo rank`.
RANKING = "<!-- ranking: begin -->\n", "<!-- ranking: end -->\n"
#: Markers of the section about the start of commands.
SHORT_RUNS = "<!-- short runs: begin -->\n", "<!-- short runs: end -->\n"

#: Content of the section before the first measurement.
NOTHING_YET = """## On a GPU

zoo has not been run on a GPU yet, so there are no figures. `tests/gpu/run.sh` tests and measures zoo on one CUDA
device: first correctness, then the speed of training steps, epochs, the frozen part and torch.compile, compared
with a bare training step, the tutorial loop and timm's train.py. The script stops after five minutes, or after the
time set by `--minutes`. CI runs a short version on a CPU; the CUDA code is untested.
"""


def find_section(page: str, begin: str = BEGIN, end: str = END) -> str | None:
    """Return the section between the markers of a page, or None if there are no markers."""
    _, _, rest = page.partition(begin)
    section, found, _ = rest.partition(end)
    return section if found else None


def put_section(page: str, section: str, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with a new section between its markers, or at the end if there are no markers."""
    old = find_section(page, begin, end)
    if old is None:
        return f"{page}\n{begin}{section}{end}"
    return page.replace(f"{begin}{old}{end}", f"{begin}{section}{end}")
