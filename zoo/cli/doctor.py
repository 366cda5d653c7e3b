"""``zoo doctor``."""

from __future__ import annotations

import dataclasses
import json

import click

from zoo.cli.process import computing


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:  # click's
    """Show versions, devices, caches and plugins, and what to do about what is missing.

    Exits with 1 if something is not as it should be.
    """
    with computing() as registry:
        from zoo.training.doctor import examine_installation

        findings = examine_installation(registry)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            advice = f" -> {finding.advice}" if finding.advice else ""
            click.echo(f"{'ok' if finding.is_ok else '!!'}  {finding.about:8}  {finding.fact}{advice}")
    return 0 if all(finding.is_ok for finding in findings) else 1
