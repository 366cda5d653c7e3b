"""What an epoch came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; a line of history.jsonl."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    #: The highest rate of the epoch's first step.
    lr: float
    #: Of the training steps alone, loading of images included.
    train_seconds: float
    #: Of the whole epoch.
    seconds: float
    #: Which phase it belongs to, from 1.
    phase: int = 1

    def is_better_than(self, other: Epoch | None) -> bool:
        """Compare by validation accuracy, and by validation loss where that is the same."""
        return other is None or (self.val_accuracy, -self.val_loss) > (other.val_accuracy, -other.val_loss)

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: train loss {self.train_loss:.4f} accuracy {self.train_accuracy:.3f}, "
            f"val loss {self.val_loss:.4f} accuracy {self.val_accuracy:.3f} ({self.seconds:.1f} s)"
        )


def find_best(history: Iterable[Epoch]) -> Epoch | None:
    """Return the best epoch, the first of equal ones; None where there is none."""
    best = None
    for epoch in history:
        best = epoch if epoch.is_better_than(best) else best
    return best
