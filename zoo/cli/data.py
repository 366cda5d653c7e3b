"""``zoo data``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_data
from zoo.cli.output import format_table, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines

if TYPE_CHECKING:
    from zoo.data.examination.check import Examination
    from zoo.data.examination.findings import Finding

#: Maximum number of findings of one kind to print.
_MAX_LISTED = 20
_SPLITS = ("train", "val", "test")


@click.group(name="data")
def command() -> None:
    """Check the images of a data set."""


@command.command(name="check")
@click.argument("data", shell_complete=complete_data)
@shared.label_from
@shared.columns
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
@shared.as_json
def check(data: str, label_from: str | None, columns: str | None, strict: bool, as_json: bool) -> int:
    """Decode every image, and list what is unusual or wrong.

    Finds unreadable files, copies, images in several classes, and images that look unusual. Never changes a file.
    """
    with torch_session() as (registry, progress):
        from zoo.data.examination.check import examine_source
        from zoo.registry.data_options import DataOptions

        options = DataOptions.parse(label_from=label_from, columns=columns)
        found = examine_source(data, options, registry=registry, progress=progress)
    print_json(_to_json(found)) if as_json else _print(found)
    return int(strict and not found.is_clean)


def _print(found: Examination) -> None:
    from zoo.data.examination.findings import count_findings

    counts = ", ".join(f"{count:,} {split}" for split, count in found.images.items())
    print_lines(f"{found.data} -> {counts or 'no'} images of {len(found.classes)} classes")
    if found.problem:
        print_lines(f"warning: no model can be trained on these images: {found.problem}")
    table = count_findings(found.findings)
    if not table:
        print_lines("nothing unusual was found")
        return
    rows = [
        (kind.code, *(f"{splits[split]:,}" if split in splits else "-" for split in ("", *_SPLITS)), kind.meaning)
        for kind, splits in table.items()
    ]
    print_lines(*format_table([("FINDING", "ALL", "TRAIN", "VAL", "TEST", "MEANING"), *rows], right=(1, 2, 3, 4)))
    print_lines("", *_list(found.findings))


def _list(findings: Sequence[Finding]) -> Iterator[str]:
    for kind, group in groupby(findings, lambda finding: finding.kind):
        found = list(group)
        for finding in found[:_MAX_LISTED]:
            subject = finding.path or f"class {finding.class_name!r} in {finding.split}"
            yield f"{kind.code}: {subject}" + (f" ({finding.detail})" if finding.detail else "")
        if len(found) > _MAX_LISTED:
            yield f"{kind.code}: and {len(found) - _MAX_LISTED:,} more; --json lists all"


def _to_json(found: Examination) -> dict[str, Any]:
    return {
        "data": found.data,
        "classes": found.classes,
        "images": found.images,
        "problem": found.problem,
        "findings": [
            {
                "kind": finding.kind.code,
                "is_warning": finding.kind.is_warning,
                "split": finding.split,
                "class_name": finding.class_name,
                "path": finding.path,
                "detail": finding.detail,
            }
            for finding in found.findings
        ],
    }
