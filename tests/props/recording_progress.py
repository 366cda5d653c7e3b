"""A progress display that records what is reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.progress import Silent


@dataclass
class RecordingProgress(Silent):
    """A progress display that shows nothing and records every line."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)
