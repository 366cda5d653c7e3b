"""``zoo plugin new``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from zoo.cli.scaffold import write_plugin
from zoo.cli.streams import print_lines, print_notes
from zoo.files.paths import expand_user


@click.group(name="plugin")
def command() -> None:
    """Create a plugin."""


@command.command(name="new")
@click.argument("name")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the package.  [default: zoo-NAME]"
)
def new(name: str, output: Path | None) -> None:
    """Create a plugin package whose backbones are called NAME/...

    The package can be installed as is and passes all checks. Prints the folder on the last line.
    """
    folder = expand_user(output) if output else Path(f"zoo-{name}")
    written = write_plugin(name, folder)
    print_notes("wrote:", *(f"  {path.relative_to(folder)}" for path in written), *_list_next_steps(name, folder))
    print_lines(str(folder))


def _list_next_steps(name: str, folder: Path) -> list[str]:
    editable, tests = shlex.quote(f"{folder}[test]"), shlex.quote(str(folder))
    return ["next steps:", f"  pip install -e {editable}", f"  pytest {tests}", f"  zoo check {name}"]
