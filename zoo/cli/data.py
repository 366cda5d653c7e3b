"""``zoo data``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import shared
from zoo.cli.completion import complete_backbone, complete_data
from zoo.cli.flags import name_flags
from zoo.cli.options import gather_options
from zoo.cli.output import format_table, json_option, print_json
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines
from zoo.data.examination.kinds import SKIPPED
from zoo.data.listing import SPLITS
from zoo.files.atomic import atomic_run_write
from zoo.files.paths import expand_user
from zoo.registry.recipe import AUGMENTS

if TYPE_CHECKING:
    from zoo.data.examination.check import Examination
    from zoo.data.examination.findings import Finding
    from zoo.training.label_check import LabelCheck
    from zoo.training.show import Sheet

#: Maximum number of findings of one kind to print.
_MAX_LISTED = 20
#: Suffixes of contact sheets.
_SHEETS = (".png", ".html")


@click.group(name="data")
def command() -> None:
    """Check or show the images of a data set."""


@command.command(name="check")
@click.argument("data", shell_complete=complete_data)
@shared.label_from
@shared.columns
@shared.channels
@click.option("--labels", is_flag=True, help="Also find labels that are probably wrong, with a pretrained backbone.")
@click.option(
    "--backbone",
    metavar="NAME",
    shell_complete=complete_backbone,
    help="Backbone for --labels.  [default: torchvision/mobilenet_v2]",
)
@click.option("--weights", metavar="WEIGHTS", help="Weights for --labels: a tag or a .safetensors file.")
@click.option("--output", metavar="FILE", help="With --labels, draw the most doubtful images (.png or .html).")
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
@json_option
def check(data: str, output: str | None, *, labels: bool, strict: bool, as_json: bool, **flags: Any) -> int:
    """Decode every image, and list what is unusual or wrong.

    Finds unreadable files, copies, images in several classes, and images that look unusual. Never changes a file.
    """
    options = gather_options(None, (), flags)
    sheet = _parse_sheet(output) if output else None
    for name in ("backbone", "weights", "output"):
        if not labels and (name in options or (name == "output" and sheet)):
            raise click.UsageError(f"--{name} needs --labels.")
    with torch_session() as (registry, progress):
        checked = None
        if labels:
            from zoo.training.label_check import check_labels

            checked = check_labels(data, registry=registry, progress=progress, **options)
            found = checked.examination
        else:
            from zoo.data.channels import RGB
            from zoo.data.examination.check import examine_source
            from zoo.registry.recipe import make_recipe

            recipe = make_recipe(options)
            found = examine_source(
                data, recipe.data_options, registry=registry, progress=progress, channels=recipe.channels or RGB
            )
        if checked and sheet:
            from zoo.training.label_sheet import draw_doubts

            _write_sheet(draw_doubts(checked), sheet)
    print_json(_to_json(found, checked)) if as_json else _print(found, checked)
    if sheet and not as_json:
        print_lines(str(sheet))
    return int(strict and not found.is_clean)


@command.command(name="show")
@click.argument("data", shell_complete=complete_data)
@click.option("--output", metavar="FILE", required=True, help="Picture (.png) or page (.html) to write.")
@click.option(
    "--backbone",
    metavar="NAME",
    shell_complete=complete_backbone,
    help="Backbone whose preprocessing to use. Without it, images are 224 x 224.",
)
@shared.label_from
@shared.columns
@click.option("--image-size", type=int, metavar="N", help="Height and width in pixels.  [default: from --backbone]")
@shared.channels
@click.option("--split", type=click.Choice(SPLITS), default="train", help="Split to show.  [default: train]")
@click.option(
    "--images",
    type=int,
    default=8,
    metavar="N",
    help="Number of images of each class; with --augment, of all classes.  [default: 8]",
)
@click.option("--augment", type=click.Choice(AUGMENTS), help="Show augmented views of single images.")
@click.option("--views", type=int, metavar="N", help="Number of augmented views of each image.  [default: 4]")
@shared.seed
@shared.assignments
def show(data: str, output: str, assignments: tuple[str, ...], **flags: Any) -> None:
    """Draw a contact sheet of what a model sees.

    Shows images after decoding, cropping and augmentation, with the names of their classes.
    """
    path = _parse_sheet(output)
    with torch_session() as (registry, progress):
        from zoo.training.show import show as draw

        options = gather_options(None, assignments, flags)
        sheet = draw(data, registry=registry, progress=progress, **options)
        _write_sheet(sheet, path)
    print_lines(str(path))


def _parse_sheet(output: str) -> Path:
    path = expand_user(output)
    if path.suffix.lower() not in _SHEETS:
        raise click.BadParameter(f"{output!r} must end with {' or '.join(_SHEETS)}", param_hint="--output")
    return path


def _write_sheet(sheet: Sheet, path: Path) -> None:
    with atomic_run_write(path) as partial:
        if path.suffix.lower() == ".png":
            sheet.image.save(partial, "PNG")
        else:
            partial.write_text(sheet.page, encoding="utf-8")


def _print(found: Examination, checked: LabelCheck | None) -> None:
    from zoo.data.examination.findings import count_findings

    counts = ", ".join(f"{count:,} {split}" for split, count in found.images.items())
    print_lines(f"{found.data} -> {counts or 'no'} images of {len(found.classes)} classes")
    if checked:
        print_lines(
            f"labels checked with {checked.backbone}: it predicts {checked.ranking.accuracy:.1%} of them in "
            f"{checked.ranking.folds}-fold cross-validation"
        )
    if found.problem:
        print_lines(f"warning: no model can be trained on these images: {found.problem}")
    table = count_findings(found.findings)
    if not table:
        print_lines("nothing unusual was found")
        return
    rows = [
        (kind.code, *(f"{splits[split]:,}" if split in splits else "-" for split in ("", *SPLITS)), kind.meaning)
        for kind, splits in table.items()
    ]
    print_lines(*format_table([("FINDING", "ALL", "TRAIN", "VAL", "TEST", "MEANING"), *rows], right=(1, 2, 3, 4)))
    print_lines("", *_list(found.findings))


def _list(findings: Sequence[Finding]) -> Iterator[str]:
    for kind, group in groupby(findings, lambda finding: finding.kind):
        found = list(group)
        for finding in found[:_MAX_LISTED]:
            about = f"class {finding.class_name!r}" if finding.class_name else "group"
            subject = finding.path or f"{about} in {finding.split}"
            detail = name_flags(finding.detail) if kind is SKIPPED else finding.detail
            yield f"{kind.code}: {subject}" + (f" ({detail})" if detail else "")
        if len(found) > _MAX_LISTED:
            yield f"{kind.code}: and {len(found) - _MAX_LISTED:,} more; --json lists all"


def _to_json(found: Examination, checked: LabelCheck | None) -> dict[str, Any]:
    return {
        "data": found.data,
        "classes": found.classes,
        "images": found.images,
        "problem": found.problem,
        "labels": _describe_labels(checked) if checked else None,
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


def _describe_labels(checked: LabelCheck) -> dict[str, Any]:
    return {
        "backbone": checked.backbone,
        "folds": checked.ranking.folds,
        "accuracy": checked.ranking.accuracy,
        "ranking": [
            {
                "path": str(doubt.sample.path),
                "split": doubt.sample.file.split,
                "label": doubt.label,
                "probability": doubt.probability,
                "suggested": doubt.suggested,
                "suggested_probability": doubt.suggested_probability,
                "is_error": doubt.is_error,
            }
            for doubt in checked.ranking.doubts
        ],
    }
