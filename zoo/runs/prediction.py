"""The predicted classes of an image, as `zoo.runs.classifier` returns them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """The predicted classes of an image, or the reason why it is left out."""

    #: Path of the file. For an image in a shard, it consists of the shard's path and the image's name.
    path: Path
    #: The most probable classes and their probabilities, most probable first; empty if the image is left out.
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        if self.error is not None:
            return {"path": str(self.path), "error": self.error}
        label, probability = self.top[0]
        top = [{"label": name, "probability": value} for name, value in self.top]
        return {"path": str(self.path), "label": label, "probability": probability, "top": top}
