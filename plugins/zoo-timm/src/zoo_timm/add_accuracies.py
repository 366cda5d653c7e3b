"""Add timm's accuracies on ImageNet to ``catalog.json``: ``python -m zoo_timm.add_accuracies FILE COMMIT``.

FILE is ``results/results-imagenet.csv`` of timm's repository at that commit. timm's distribution does not contain it.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_timm.catalog import CATALOG, dump_catalog, load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.plugin import BackboneSpec, WeightsSpec

#: Address of the file at a commit.
SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/{}/results/results-imagenet.csv"


#: Top-1 accuracies in percent, by timm's name of the weights, such as ``vgg16.tv_in1k``, and the height of an image.
#: timm lists some weights several times, with different image sizes.
Accuracies = dict[tuple[str, int], float]


def read_accuracies(file: Path) -> Accuracies:
    """Return the accuracies in a file."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {(row["model"], int(row["img_size"])): float(row["top1"]) for row in csv.DictReader(lines)}


def list_accuracies(specs: Iterable[BackboneSpec]) -> Accuracies:
    """Return the accuracies of specs."""
    return {
        _make_key(spec, weights): weights.accuracy
        for spec in specs
        for weights in spec.weights
        if weights.accuracy is not None
    }


def with_accuracies(specs: Iterable[BackboneSpec], accuracies: Accuracies) -> list[BackboneSpec]:
    """Return specs whose weights have the accuracies for the size of their input; None if there is none."""
    return [
        replace(
            spec,
            weights=tuple(
                replace(weights, accuracy=accuracies.get(_make_key(spec, weights))) for weights in spec.weights
            ),
        )
        for spec in specs
    ]


def _make_key(spec: BackboneSpec, weights: WeightsSpec) -> tuple[str, int]:
    return f"{spec.name.partition('/')[2]}.{weights.tag}", (weights.input or spec.input).size[1]


def main() -> None:
    """Write the catalog again, with the accuracies in a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("commit")
    arguments = parser.parse_args()
    catalog = load_catalog(CATALOG.read_text(encoding="utf-8"))
    specs = with_accuracies(catalog.backbones.values(), read_accuracies(arguments.file))
    CATALOG.write_text(dump_catalog(catalog.upstream, SOURCE.format(arguments.commit), specs), encoding="utf-8")


if __name__ == "__main__":
    main()
