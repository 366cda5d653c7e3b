"""Shows that every check has teeth: its body taken out, a mutant goes unnoticed.

    python tests/mutants/teeth.py

Prints a line for each check: its mutants, those of them that the kit no longer tells as it must, and the checks that
fail of them all the same. Exits with 1 if a check can be emptied and nobody notices.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoo.testing.examined import Examined

WIDTHS = "{:28}{:>8}{:>10}  {}"


def main() -> int:
    with TemporaryDirectory() as folder:
        sys.path[:0] = [str(Path(__file__).parent), folder]
        os.environ["ZOO_CACHE"] = str(Path(folder, "cache"))
        return show_teeth(Path(folder))


def show_teeth(folder: Path) -> int:
    import torch
    from specimens.install import install_all

    from zoo.testing.examined import examine
    from zoo.testing.table import CHECKS

    torch.set_num_threads(1)
    install_all(folder)
    mutants = examine("mutants")
    click.echo(WIDTHS.format("CHECK", "MUTANTS", "UNNOTICED", "CAUGHT ALL THE SAME BY"))
    toothless = [check.name for check in CHECKS if not show_check(check.name, mutants)]
    without = f"; not so {', '.join(toothless)}" if toothless else ""
    click.echo(f"\n{len(CHECKS) - len(toothless)} of {len(CHECKS)} checks have teeth{without}")
    return int(bool(toothless))


def show_check(check: str, mutants: Examined) -> bool:
    """Print what comes of a check without its body; returns whether somebody notices."""
    from specimens.judge import emptied, find_disagreement, get_fails, judge, list_mutants

    from zoo.testing.results import BAD

    names = list_mutants(check)
    with emptied(check):
        results = {name: judge(name, mutants) for name in names}
    changed = [name for name in names if find_disagreement(results[name], get_fails(name))]
    others = sorted({result.check for name in names for result in results[name] if result.status in BAD})
    click.echo(WIDTHS.format(check, len(names), len(changed), ", ".join(others) or "-"))
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
