"""Results of the GPU check, appended to a file as one JSON line each as soon as they are known."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Environment variable with the path of the file to which the stages append their results.
VARIABLE = "ZOO_GPU_RESULTS"

PASSED, FAILED, SKIPPED, MEASURED = "passed", "failed", "skipped", "measured"


@dataclass(frozen=True)
class Result:
    """The outcome of one check or measurement."""

    stage: str
    name: str
    outcome: str
    #: Reason for a failure or a skip, or a remark about the metrics.
    note: str = ""
    #: Metrics by name. The name contains the unit: ``images_per_second``, ``peak_mib``, ``bare_over_zoo``.
    figures: Mapping[str, float] = field(default_factory=dict)

    def format(self) -> str:
        """Return the result as a line for the terminal."""
        figures = ", ".join(f"{name} {value:,.2f}" for name, value in self.figures.items())
        return " | ".join(filter(None, [f"{self.outcome:8} {self.stage}: {self.name}", figures, self.note]))


def record(result: Result) -> None:
    """Append a result to the file that ``ZOO_GPU_RESULTS`` names."""
    append(result, Path(os.environ[VARIABLE]))


def append(result: Result, path: Path) -> None:
    """Append a result to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(result)) + "\n")


def read_results(path: Path) -> list[Result]:
    """Return the results in all complete lines. A stage that was killed may have written an incomplete line."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    fields: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
    return [Result(**each) for each in fields]
