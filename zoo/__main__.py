"""The entry point of ``python -m zoo`` and of the script ``zoo``."""

from __future__ import annotations

import sys

try:
    from zoo.cli.process import run
except ModuleNotFoundError as error:
    if (error.name or "zoo").partition(".")[0] == "zoo":
        raise
    sys.exit(f"zoo is not installed: {error.name} is missing. In the folder of the clone, run: pip install .")

__all__ = ["run"]

if __name__ == "__main__":
    run()
