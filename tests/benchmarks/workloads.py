"""What is measured: the workloads, who does them, and which versions of the peers."""

from __future__ import annotations

from dataclasses import dataclass

#: The peers' distributions; those of torch and torchvision are the ones that zoo itself runs with here.
PINS = {
    "fastai": "2.8.12",
    "timm": "1.0.31",
    "lightning": "2.6.6",
    "transformers": "5.23.0",
    "accelerate": "1.15.0",
    "datasets": "5.2.0",
}

OURS = "ours"
BATCH_SIZE = 32
#: Pixels of a side.
SIZE = 224


@dataclass(frozen=True)
class Peer:
    """Somebody who does the same work."""

    name: str
    #: In the page's tables.
    title: str
    #: In the folder ``peers``.
    script: str
    #: What the script is told besides the job.
    flags: tuple[str, ...] = ()
    #: What a reader of its figures has to know.
    note: str = ""


@dataclass(frozen=True)
class Workload:
    """Some work that all are given."""

    name: str
    title: str
    #: As torchvision calls the network, and as timm does.
    model: str
    timm_model: str
    epochs: int
    #: Those that are compared unless others are asked for.
    peers: tuple[str, ...]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("warm", "zoo again, cached features", "ours.py"),
        Peer("tutorial", "tutorial loop", "tutorial.py"),
        Peer("fastai", "fastai", "fastai_peer.py"),
        Peer("lightning", "Lightning", "lightning_peer.py"),
        Peer("transformers", "transformers' Trainer", "transformers_peer.py"),
        Peer("timm", "timm train.py, defaults", "timm_peer.py", note="it cannot freeze and trains all parameters"),
        Peer(
            "timm-fast",
            "timm train.py, bf16 and channels-last",
            "timm_peer.py",
            ("--amp", "--amp-dtype", "bfloat16", "--channels-last"),
            "it cannot freeze and trains all parameters",
        ),
        Peer("limit", "the limit", "limit.py", note="does not train a head and does not evaluate"),
    )
}

_ALL = tuple(PEERS)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("frozen", "A new last layer on a frozen MobileNetV2", "mobilenet_v2", "mobilenetv2_100", 10, _ALL),
        Workload(
            "vgg",
            "A new classic classifier on the frozen convolutions of VGG16",
            "vgg16",
            "vgg16",
            5,
            tuple(name for name in _ALL if not name.startswith("timm")),  # all of VGG16 would be other work
        ),
        Workload(
            "full",
            "All of ResNet18",
            "resnet18",
            "resnet18",
            5,
            tuple(name for name in _ALL if name != "warm"),  # nothing is kept where all learns
        ),
    )
}
