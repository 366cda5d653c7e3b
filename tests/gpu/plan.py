"""The amount of work that the GPU check does: the full plan for a GPU, or a little of everything with ``--quick``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A network whose training is measured."""

    #: Names in torchvision and in timm. ``timm_name`` is None if timm's train.py cannot do the same work.
    name: str
    timm_name: str | None
    #: Options of ``zoo finetune``.
    head: str = "linear"
    train: str = "all"
    plugin: str = "torchvision"

    @property
    def backbone(self) -> str:
        """The name in zoo."""
        return f"{self.plugin}/{self.name}"


#: The classic exercise: frozen convolutions and a new classifier. timm's train.py cannot freeze.
VGG16 = Candidate("vgg16", None, head="mlp:4096,4096", train="head")
RESNET18 = Candidate("resnet18", "resnet18")
RESNET50 = Candidate("resnet50", "resnet50")
VIT = Candidate("vit_b_16", "vit_base_patch16_224")
CONVNEXT = Candidate("convnext_tiny", "convnext_tiny")


@dataclass(frozen=True)
class Plan:
    """The networks to measure, in order of importance because time may run out, and the amount of work for each."""

    candidates: tuple[Candidate, ...]
    #: Candidates that are measured with and without torch.compile.
    compiled: tuple[Candidate, ...]
    #: Candidates for the frozen stage, in which the frozen part is computed once.
    frozen: tuple[Candidate, ...]
    batch_size: int
    #: Numbers of training and validation images to generate. zoo cannot keep all of them decoded in memory.
    images: int
    val_images: int
    #: Number of epochs in the epochs stage, including the first one, which is for warming up.
    epochs: int
    #: Number of training images for the frozen stage and for the slow loop of the tutorial.
    few_images: int
    #: Number of epochs in the frozen stage.
    frozen_epochs: int
    #: Numbers of pairs of blocks, of steps per block and of warm-up blocks when training steps are timed.
    pairs: int
    steps: int
    warm_up: int


FULL = Plan(
    candidates=(RESNET50, VIT, RESNET18, VGG16, CONVNEXT),
    compiled=(RESNET50, VIT, RESNET18, CONVNEXT),
    frozen=(Candidate("resnet50", None, train="head"), VGG16),
    batch_size=128,
    images=4096,
    val_images=256,
    epochs=3,
    few_images=1024,
    frozen_epochs=10,
    pairs=5,
    steps=5,
    warm_up=2,
)
QUICK = Plan(
    candidates=(RESNET18,),
    compiled=(Candidate("tiny", None, train="head", plugin="tiny"),),
    frozen=(Candidate("mobilenet_v2", None, train="head"),),
    batch_size=4,
    images=16,
    val_images=8,
    epochs=2,
    few_images=16,
    frozen_epochs=3,
    pairs=2,
    steps=1,
    warm_up=1,
)


def choose_plan(*, quick: bool) -> Plan:
    """Return the quick plan or the full plan."""
    return QUICK if quick else FULL
