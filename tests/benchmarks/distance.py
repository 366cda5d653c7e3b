"""Measure how well `zoo predict --distance` tells images of the classes from other images.

    python tests/benchmarks/distance.py FOLDER OTHER [--backbone mobilenet_v2] [--weights FILE] [--run RUN]

FOLDER contains train and val folders with class folders, and OTHER contains images of other things. The script trains a
head on FOLDER, unless --run is given, and prints the area under the ROC curve for the distance and for the probability.
It fails if that of the distance is below 0.9, or below that of the probability.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import zoo
from zoo.runs.prediction import Prediction

LEAST = 0.9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        options = {"weights": arguments.weights} if arguments.weights else {}
        run = arguments.run or zoo.finetune(
            arguments.backbone, data=arguments.data, epochs=5, device="cpu", output=f"{place}/run", **options
        )
        classifier = zoo.load(run, device="cpu")
        known, other = (
            [found for found in classifier.predict(folder, distance=True) if not found.error]
            for folder in (arguments.data / "val", arguments.other)
        )
    distance = measure_auroc(*([found.distance or 0.0 for found in group] for group in (known, other)))
    probability = measure_auroc(*([-(found.probability or 0.0) for found in group] for group in (known, other)))
    sys.stdout.write(
        f"{len(known)} images of the classes, {len(other)} others: area under the ROC curve {distance:.3f} for the "
        f"distance, {probability:.3f} for the probability\n"
    )
    for percentile in (95, 99):
        kept, wrong = (share_below(group, percentile) for group in (known, other))
        sys.stdout.write(
            f"--max-percentile {percentile} keeps {kept:.1%} of the classes and {wrong:.1%} of the others\n"
        )
    return int(distance < max(LEAST, probability))


def measure_auroc(known: Sequence[float], other: Sequence[float]) -> float:
    """Return the probability that another image has a larger value; equal values count half."""
    return statistics.fmean((b > a) + (a == b) / 2 for a in known for b in other)


def share_below(group: Sequence[Prediction], percentile: float) -> float:
    return statistics.fmean((found.percentile or 0) <= percentile for found in group)


if __name__ == "__main__":
    sys.exit(main())
