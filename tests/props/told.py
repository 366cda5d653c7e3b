"""A progress that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.progress import Silent


@dataclass
class Told(Silent):
    """Shows nothing, and keeps every line that was said."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)
