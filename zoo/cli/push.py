"""``zoo push``."""

from __future__ import annotations

import click

from zoo.cli.completion import complete_run
from zoo.cli.flags import name_flags
from zoo.cli.output import json_option, print_json
from zoo.cli.streams import print_lines, print_notes
from zoo.progress import open_progress
from zoo.runs.export.push import OPTIONAL, push


@click.command(name="push")
@click.argument("run", shell_complete=complete_run)
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "--include",
    multiple=True,
    type=click.Choice([*OPTIONAL]),
    help="Also push the report (contains photos), the predictions (contain the paths of images) or the exports. Can "
    "be repeated.",
)
@click.option("--private", is_flag=True, help="Make a new repository private.  [default: as the owner has set it]")
@json_option
def command(run: str, repo: str, include: tuple[str, ...], private: bool, as_json: bool) -> None:
    """Push a run to the Hugging Face Hub.

    Creates the repository if it does not exist. Pushes the model, run.json,
    the history, the model card and config.json in a single commit. Prints the
    address of the run on the last line: hf://OWNER/NAME@COMMIT, which all
    commands that use a run accept.
    """
    pushed = push(run, repo, include=include, private=private or None, progress=open_progress(name_flags))
    for name in pushed.removed:
        print_notes(f"note: removed {name}, which belonged to an earlier run")
    print_notes(f"pushed to {pushed.url}")
    print_json(pushed) if as_json else print_lines(f"hf://{pushed.repo}@{pushed.revision}")
