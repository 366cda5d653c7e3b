"""``python -m zoo``, and the script ``zoo``."""

from __future__ import annotations

from zoo.cli.process import run

__all__ = ["run"]

if __name__ == "__main__":
    run()
