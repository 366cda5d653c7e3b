"""The backbones and the data sets on which rank.py judges `zoo rank`. They were chosen before anything was measured.

    python tests/benchmarks/rank_pool.py FOLDER

The command draws the images and trains the made backbones. It takes about a quarter of an hour on two cores. If it is
interrupted, run it again to continue.

The shapes of zoo-tiny are divided into two halves. The made backbones are trained from scratch on the shapes in
`SOURCE`, with different numbers of epochs and images, so some of them are much better than others. The drawn data sets
contain the shapes in `TARGET`, or suns and moons, which no made backbone has seen. A ranking sees only train; val
measures the accuracy after fine-tuning.

rank.py compares these ways to choose a backbone: `zoo rank`; its probe, its nearest neighbors and LogME alone; the
largest by parameters; and the best by catalog. In the catalog, a real backbone has its published accuracy on ImageNet,
and a made one its accuracy on new images of the source. These are not comparable. The catalog therefore lists the real
ones first, as a user would, and rank.py also judges the made ones alone, whose accuracies are comparable.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

import zoo
from zoo.progress import open_progress
from zoo_tiny.drawing import draw_folder
from zoo_tiny.figures import FIGURES
from zoo_tiny.suns_moons import FIGURES as SUNS_MOONS

#: Names of the shapes that the made backbones are trained on, and of those that are only in the drawn data sets.
SOURCE, TARGET = tuple(FIGURES)[::2], tuple(FIGURES)[1::2]
#: Height and width of the images that the made backbones are trained on, in pixels.
SIDE = 64
#: Number of validation images of each shape in the source, on which the accuracy in their catalog is measured.
SOURCE_VAL = 25


@dataclass(frozen=True)
class Made:
    """A backbone that is trained from scratch on drawn images."""

    name: str
    backbone: str
    #: 0 means that it keeps its random parameters.
    epochs: int
    #: Number of training images of each shape, and number of shapes.
    images: int = 100
    shapes: int = len(SOURCE)
    lr: float = 5e-3


@dataclass(frozen=True)
class Real:
    """A backbone whose weights were trained on photos, in a file of the folder with test assets."""

    name: str
    #: Name of the backbone, with the tag of the weights if they are published.
    backbone: str
    file: str


@dataclass(frozen=True)
class Task:
    """A data set to fine-tune on."""

    name: str
    image_size: int
    #: Number of training images per class; None means all of them.
    train: int | None
    #: Number of validation images per class, which are drawn; None means those of the photos.
    val: int | None = None
    #: Shapes that are drawn; empty for photos of ants and bees.
    shapes: tuple[str, ...] = ()


MADE = (
    Made("tiny-random", "tiny/tiny", 0),
    Made("tiny-1", "tiny/tiny", 1),
    Made("tiny-2", "tiny/tiny", 2),
    Made("tiny-4", "tiny/tiny", 4),
    Made("tiny-8", "tiny/tiny", 8),
    Made("tiny-16", "tiny/tiny", 16),
    Made("tiny-few-images", "tiny/tiny", 16, images=20),
    Made("tiny-two-shapes", "tiny/tiny", 16, shapes=2),
    Made("shufflenet-1", "torchvision/shufflenet_v2_x0_5", 1),
    Made("shufflenet-6", "torchvision/shufflenet_v2_x0_5", 6),
    Made("resnet-1", "timm/test_resnet", 1),
    Made("resnet-6", "timm/test_resnet", 6),
    Made("efficientnet-6", "timm/test_efficientnet", 6),
    Made("lcnet-6", "timm/lcnet_035", 6),
)
#: timm's file has the same tensors as torchvision's, under other names. mobilenetv2_035 has no published weights.
REAL = (
    Real("mobilenet_v2", "torchvision/mobilenet_v2@IMAGENET1K_V1", "torchvision_mobilenet_v2.safetensors"),
    Real("mobilenetv2_100", "timm/mobilenetv2_100@ra_in1k", "timm_mobilenetv2_100.safetensors"),
    Real("squeezenet1_1", "torchvision/squeezenet1_1@IMAGENET1K_V1", "torchvision_squeezenet1_1.safetensors"),
    Real("mobilenetv2_035", "timm/mobilenetv2_035", "timm_mobilenetv2_035_backbone.safetensors"),
)
TASKS = (
    Task("hymenoptera", 128, train=None),
    Task("hymenoptera-40", 128, train=20),
    Task("suns_moons", SIDE, train=20, val=100, shapes=tuple(SUNS_MOONS)),
    Task("shapes-12", SIDE, train=15, val=40, shapes=TARGET),
    Task("shapes-4", SIDE, train=10, val=100, shapes=TARGET[:4]),
)
#: Data sets that were added after the rule for the second suggestion had been changed. They were chosen before any
#: backbone was ranked or fine-tuned on them.
HELD_OUT = (
    Task("hymenoptera-80", 128, train=40),
    Task("suns_moons-10", SIDE, train=10, val=100, shapes=tuple(SUNS_MOONS)),
    Task("shapes-6", SIDE, train=12, val=80, shapes=TARGET[4:10]),
)
#: Options of the runs that determine which backbone is truly the best, by the value of ``train``.
RECIPES = {"head": {"train": "head", "epochs": 10}, "head-then-all": {"train": "head-then-all", "epochs": 6}}


def make_all(folder: Path, assets: Path | None) -> None:
    """Draw all images and train all made backbones that do not exist yet."""
    for task in (*TASKS, *HELD_OUT):
        if not (folder / "data" / task.name).exists() and (task.shapes or assets):
            make_task(task, folder, assets)
    for made in MADE:
        if not weights_of(made, folder).exists():
            make_backbone(made, folder)


def make_task(task: Task, folder: Path, assets: Path | None) -> None:
    """Write the images of a task to ``data/NAME``."""
    target, partial = folder / "data" / task.name, folder / "data" / f"partial-{task.name}"
    shutil.rmtree(partial, ignore_errors=True)
    if task.shapes:
        figures = {name: {**FIGURES, **SUNS_MOONS}[name] for name in task.shapes}
        assert task.train is not None
        assert task.val is not None
        draw_folder(partial / "train", figures, count=task.train, seed=f"rank/{task.name}/train")
        draw_folder(partial / "val", figures, count=task.val, seed=f"rank/{task.name}/val")
    else:
        assert assets is not None
        copy_photos(assets / "data" / "hymenoptera_data", partial, task.train)
    partial.rename(target)


def copy_photos(photos: Path, target: Path, count: int | None) -> None:
    """Copy all validation photos, and ``count`` training photos of each class, which a fixed seed chooses."""
    shutil.copytree(photos / "val", target / "val")
    for kind in sorted(path for path in (photos / "train").iterdir() if path.is_dir()):
        (target / "train" / kind.name).mkdir(parents=True)
        names = sorted(kind.glob("*.jpg"))
        for path in random.Random(0).sample(names, len(names) if count is None else count):
            shutil.copy(path, target / "train" / kind.name)


def make_backbone(made: Made, folder: Path) -> None:
    """Train a made backbone and write its weights, and its accuracy on new images of the shapes in the source."""
    path = weights_of(made, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not made.epochs:
        torch.manual_seed(0)
        save_file(zoo.build(made.backbone, weights="none").state_dict(), path)
        return
    source = make_source(made, folder)
    run = zoo.finetune(
        made.backbone, source, output=folder / "made" / f"run-{made.name}", resume=True, progress=open_progress(),
        weights="none", train="all", epochs=made.epochs, lr=made.lr, image_size=SIDE, device="cpu", precision="fp32",
    )  # fmt: skip
    accuracy = 100 * run.facts["best"]["val_accuracy"] if made.shapes == len(SOURCE) else None
    path.with_suffix(".json").write_text(json.dumps(accuracy), encoding="utf-8")
    shutil.copy(run.path / "model.safetensors", path)


def make_source(made: Made, folder: Path) -> Path:
    """Draw the training images of a made backbone, and the validation images of its catalog."""
    target = folder / "data" / f"source-{made.images}-{made.shapes}"
    if not target.exists():
        partial = target.with_name(f"partial-{target.name}")
        shutil.rmtree(partial, ignore_errors=True)
        figures = {name: FIGURES[name] for name in SOURCE[: made.shapes]}
        draw_folder(partial / "train", figures, count=made.images, seed="rank/source/train")
        draw_folder(partial / "val", figures, count=SOURCE_VAL, seed="rank/source/val")
        partial.rename(target)
    return target


def weights_of(made: Made, folder: Path) -> Path:
    """Return the path of the weights of a made backbone."""
    return folder / "made" / f"{made.name}.safetensors"


def read_accuracy(made: Made, folder: Path) -> float | None:
    """Return the accuracy in the catalog of a made backbone in percent; None without training on all source shapes."""
    path = weights_of(made, folder).with_suffix(".json")
    accuracy: float | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return accuracy


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assets", type=Path, help="folder with data/hymenoptera_data")
    parsed = parser.parse_args(arguments)
    make_all(parsed.folder, parsed.assets)
    sys.stdout.write(f"{len(MADE)} backbones and {len(TASKS)} data sets are in {parsed.folder}\n")


if __name__ == "__main__":
    main()
