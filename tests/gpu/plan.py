"""What the GPU check measures, and on how much: in full for a GPU, or a little of everything with ``--quick``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A network whose training is measured."""

    #: As torchvision calls it, and as timm does; None where timm's train.py cannot do the same work.
    name: str
    timm_name: str | None
    #: As ``zoo finetune`` takes them.
    head: str = "linear"
    train: str = "all"
    plugin: str = "torchvision"

    @property
    def backbone(self) -> str:
        """Its name in zoo."""
        return f"{self.plugin}/{self.name}"


#: The classic exercise: the convolutions are frozen, the classifier is drawn anew. timm's train.py freezes nothing.
VGG16 = Candidate("vgg16", None, head="mlp:4096,4096", train="head")
RESNET18 = Candidate("resnet18", "resnet18")
RESNET50 = Candidate("resnet50", "resnet50")
VIT = Candidate("vit_b_16", "vit_base_patch16_224")
CONVNEXT = Candidate("convnext_tiny", "convnext_tiny")


@dataclass(frozen=True)
class Plan:
    """How much is measured. The candidates come in order of value: time may run out."""

    candidates: tuple[Candidate, ...]
    #: Those whose training is measured with torch.compile on and off.
    compiled: tuple[Candidate, ...]
    #: Those whose frozen part is computed once.
    frozen: tuple[Candidate, ...]
    batch_size: int
    #: Training and validation images that are drawn: more than zoo keeps decoded in memory.
    images: int
    val_images: int
    #: Epochs of the epoch stage, of which the first warms up.
    epochs: int
    #: Training images of the frozen stage and of the tutorial's loop, which is slow; and epochs of that stage.
    few_images: int
    frozen_epochs: int
    #: Pairs of blocks of steps.
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
    """Return the plan."""
    return QUICK if quick else FULL
