"""Plant copies of photos in a folder, and count how many of them `zoo data check` finds.

    python tests/benchmarks/find_copies.py FOLDER [--labels [--backbone NAME] [--weights FILE]]

FOLDER contains class folders, or splits with class folders, and should contain no copies of its own. Of each photo, one
exact copy and one changed copy are planted: with a different format, quality or size. The script fails unless all exact
copies and 95% of the changed ones are found, and at most 1% of the reported pairs are wrong. With --labels, the changed
copies are crops and mirrored photos instead, of which `zoo data check --labels` must find 90%.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageOps

from zoo.data.examination.check import examine_source
from zoo.data.listing import ImageFile
from zoo.data.source import list_images
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import open_registry
from zoo.training.label_check import BACKBONE, check_labels

#: How a copy is changed, with the suffix of the copy.
CHANGES: dict[str, tuple[str, Callable[[Image.Image, Path], None]]] = {
    "JPEG quality 50": (".jpg", lambda image, path: image.save(path, quality=50)),
    "JPEG quality 20": (".jpg", lambda image, path: image.save(path, quality=20)),
    "WebP quality 60": (".webp", lambda image, path: image.save(path, quality=60)),
    "half the size": (".jpg", lambda image, path: image.reduce(2).save(path)),
    "a quarter of the size": (".jpg", lambda image, path: image.reduce(4).save(path)),
    "1.5 times the size": (
        ".jpg",
        lambda image, path: image.resize((image.width * 3 // 2, image.height * 3 // 2)).save(path),
    ),
    "224 x 224 pixels": (".jpg", lambda image, path: image.resize((224, 224)).save(path)),
    "PNG": (".png", lambda image, path: image.save(path)),
}


#: How a copy is changed with --labels.
CROPS: dict[str, tuple[str, Callable[[Image.Image, Path], None]]] = {
    "crop without 5%": (".jpg", lambda image, path: crop(image, 0.05).save(path)),
    "crop without 10%": (".jpg", lambda image, path: crop(image, 0.1).save(path)),
    "crop without 20%": (".jpg", lambda image, path: crop(image, 0.2).save(path)),
    "mirrored": (".jpg", lambda image, path: ImageOps.mirror(image).save(path)),
}


def crop(image: Image.Image, fraction: float) -> Image.Image:
    """Cut off a fraction of the width and of the height, more on the left and at the top."""
    left, top = image.width * fraction * 0.7, image.height * fraction * 0.7
    width, height = image.width * (1 - fraction), image.height * (1 - fraction)
    return image.crop((round(left), round(top), round(left + width), round(top + height)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--backbone", default=BACKBONE)
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        planted = plant(arguments.folder, Path(place), CROPS if arguments.labels else CHANGES)
        if arguments.labels:
            found = check_labels(place, backbone=arguments.backbone, weights=arguments.weights).examination
        else:
            found = examine_source(place, DataOptions(), registry=open_registry(), progress=Silent())
        reported = [
            (f.kind.code, f.path or "", f.detail)
            for f in found.findings
            if f.kind.code in ("duplicate", "near-duplicate")
        ]
    return report(planted, reported)


def plant(
    folder: Path, root: Path, changes: dict[str, tuple[str, Callable[[Image.Image, Path], None]]]
) -> dict[str, tuple[str, str]]:
    """Write each photo and its copies; return the change and the number of the photo by path."""
    files: tuple[ImageFile, ...] = list_images(
        str(folder), DataOptions(), registry=open_registry(), progress=Silent()
    ).files
    planted: dict[str, tuple[str, str]] = {}
    for number, file in enumerate(file for file in files if file.path.suffix == ".jpg"):
        target = root / file.class_name
        target.mkdir(exist_ok=True)
        change = [*changes][number % len(changes)]
        suffix, save = changes[change]
        original, exact, changed = (target / f"{number}{name}" for name in ("a.jpg", "b.jpg", f"c{suffix}"))
        shutil.copy(file.path, original)
        shutil.copy(file.path, exact)
        with Image.open(file.path) as image:
            save(image.convert("RGB"), changed)
        planted |= {
            str(original): ("original", str(number)),
            str(exact): ("exact", str(number)),
            str(changed): (change, str(number)),
        }
    return planted


def report(planted: dict[str, tuple[str, str]], reported: list[tuple[str, str, str]]) -> int:
    """Print how many copies of each kind were found, and return the exit code."""
    found, wrong = Counter[str](), 0
    for path, other in {(path, other) for _, path, other in reported}:
        if planted[path][1] == planted[other][1]:
            found[path] += 1
        else:
            wrong += 1
            sys.stdout.write(f"wrong: {path} and {other}\n")
    total = Counter(change for change, _ in planted.values() if change != "original")
    hits = Counter(planted[path][0] for path in found)
    for change, count in total.items():
        sys.stdout.write(f"{change:22} {hits[change]} of {count} found\n")
    changed = sum(total.values()) - total["exact"]
    rate = (sum(hits.values()) - hits["exact"] - hits["original"]) / changed
    rates = f"exact copies {hits['exact'] / total['exact']:.1%}, changed copies {rate:.1%}"
    sys.stdout.write(f"{rates}, wrong pairs {wrong} of {len(reported)}\n")
    least = 0.9 if "mirrored" in total else 0.95
    return int(hits["exact"] < total["exact"] or rate < least or wrong > 0.01 * len(reported))


if __name__ == "__main__":
    sys.exit(main())
