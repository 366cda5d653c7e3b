"""Show that every check is necessary: without its body, the kit accepts a mutant.

    python tests/mutants/teeth.py

Prints a line for each check: the number of its mutants, the number of those that the kit rejects only with the check,
and the other checks that fail for them. Exits with 1 if the kit rejects all mutants of a check even without the check.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoo.testing.plugin_under_test import PluginUnderTest

WIDTHS = "{:28}{:>8}{:>10}  {}"


def main() -> int:
    with TemporaryDirectory() as folder:
        sys.path[:0] = [str(Path(__file__).parent), folder]
        os.environ["ZOO_CACHE"] = str(Path(folder, "cache"))
        return show_teeth(Path(folder))


def show_teeth(folder: Path) -> int:
    import torch
    from specimens.install import install_all
    from specimens.judge import list_mutants

    from zoo.testing.plugin_under_test import examine
    from zoo.testing.promises import CHECKS

    torch.set_num_threads(1)
    install_all(folder)
    mutants = examine("mutants")
    names = {name for check in CHECKS for name in list_mutants(check.name)}
    rejected = {name for name in sorted(names) if is_rejected(name, mutants)}
    click.echo(WIDTHS.format("CHECK", "MUTANTS", "ACCEPTED", "STILL REJECTED BY"))
    toothless = [check.name for check in CHECKS if not show_check(check.name, mutants, rejected)]
    toothed = len(CHECKS) - len(toothless)
    click.echo(f"\n{len(rejected)} of {len(names)} mutants are rejected; {toothed} of {len(CHECKS)} checks have teeth")
    click.echo("".join(f"{name} has no teeth\n" for name in toothless), nl=False)
    return int(bool(toothless))


def is_rejected(name: str, mutants: PluginUnderTest) -> bool:
    from specimens.judge import find_disagreement, get_fails, judge

    return find_disagreement(judge(name, mutants), get_fails(name)) == ""


def show_check(check: str, mutants: PluginUnderTest, rejected: Container[str]) -> bool:
    """Print the effect of emptying a check; return whether the kit then accepts a mutant."""
    from specimens.judge import emptied, find_disagreement, get_fails, judge, list_mutants

    from zoo.testing.results.result import BAD

    names = list_mutants(check)
    with emptied(check):
        results = {name: judge(name, mutants) for name in names}
    accepted = [name for name in names if name in rejected and find_disagreement(results[name], get_fails(name))]
    others = sorted({result.check for name in names for result in results[name] if result.status in BAD})
    click.echo(WIDTHS.format(check, len(names), len(accepted), ", ".join(others) or "-"))
    return bool(accepted)


if __name__ == "__main__":
    sys.exit(main())
