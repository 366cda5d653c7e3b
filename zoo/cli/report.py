"""``zoo report``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import shared
from zoo.cli.completion import complete_run
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines
from zoo.files.atomic import atomic_run_write
from zoo.files.paths import expand_user


@click.command(name="report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@click.option("--output", metavar="FILE", help="Page to write.  [default: report.html in the run folder]")
@shared.model
def command(runs: tuple[str, ...], output: str | None, model: str | None) -> None:
    """Write the report of a run again, or compare several runs.

    The page shows the images if they still exist. To compare several runs, --output is required.
    """
    if len(runs) > 1 and output is None:
        raise click.UsageError("--output is required to compare several runs, such as --output comparison.html.")
    with torch_session() as (registry, progress):
        from zoo.runs.folder import REPORT, RunFolder
        from zoo.runs.report.rebuild import build_comparison, rebuild_page

        paths = [expand_user(run) for run in runs]
        if len(paths) == 1:
            page = rebuild_page(paths[0], model=model, registry=registry, progress=progress)
        else:
            page = build_comparison(paths)
        path = expand_user(output) if output else RunFolder.open(paths[0]).path / REPORT
        with atomic_run_write(path) as partial:
            Path(partial).write_text(page, encoding="utf-8", errors="backslashreplace")
    print_lines(str(path))
