"""``zoo doctor``."""

from __future__ import annotations

import click

from zoo.cli.output import json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines


@click.command(name="doctor")
@json_option
def command(as_json: bool) -> int:
    """Check the installation and show how to fix problems.

    Checks the versions of packages, the devices, the image decoder, the cache folder and the plugins. Exits with 1 if
    there is a problem.
    """
    with torch_session() as (registry, _):
        from zoo.training.doctor import examine_installation

        findings = examine_installation(registry)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            advice = f" -> {finding.advice}" if finding.advice else ""
            print_lines(f"{'ok' if finding.is_ok else '!!'}  {finding.about:8}  {finding.fact}{advice}")
    return int(not all(finding.is_ok for finding in findings))
