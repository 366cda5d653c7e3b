"""The workloads, the peers that run them, and the versions of the peers."""

from __future__ import annotations

from dataclasses import dataclass

#: Versions of the peers' packages. The peers use the same torch and torchvision as zoo.
PINS = {
    "fastai": "2.8.12",
    "timm": "1.0.31",
    "lightning": "2.6.6",
    "transformers": "5.23.0",
    "accelerate": "1.15.0",
    "datasets": "5.2.0",
}

OURS = "ours"
#: Number of images per batch, unless the workload has its own.
BATCH_SIZE = 32
#: Height and width of an image in pixels.
SIZE = 224


@dataclass(frozen=True)
class Peer:
    """A program that does the same work as zoo."""

    name: str
    #: Name in the tables.
    title: str
    #: File in the folder ``peers``.
    script: str
    #: Arguments of the script in addition to the job.
    flags: tuple[str, ...] = ()
    #: Note that appears below a table if the peer has results.
    note: str = ""


@dataclass(frozen=True)
class Workload:
    """A training task that zoo and all peers perform."""

    name: str
    #: What is trained: ``frozen``, ``vgg`` or ``full``.
    task: str
    title: str
    #: Names of the network in torchvision and timm.
    model: str
    timm_model: str
    epochs: int
    #: Names of the peers that are compared by default.
    peers: tuple[str, ...]
    batch_size: int = BATCH_SIZE


_CANNOT_FREEZE = "it cannot freeze layers, so it trains all parameters"

PEERS = {
    peer.name: peer
    for peer in (
        Peer("warm", "zoo again, cached features", "ours.py"),
        Peer("tutorial", "tutorial loop", "tutorial.py"),
        Peer("fastai", "fastai", "fastai_peer.py"),
        Peer("lightning", "Lightning", "lightning_peer.py"),
        Peer("transformers", "transformers' Trainer", "transformers_peer.py"),
        Peer("timm", "timm train.py, defaults", "timm_peer.py", note=_CANNOT_FREEZE),
        Peer(
            "timm-fast",
            "timm train.py, bf16 and channels-last",
            "timm_peer.py",
            ("--amp", "--amp-dtype", "bfloat16", "--channels-last"),
            _CANNOT_FREEZE,
        ),
        Peer("limit", "the limit", "limit.py", note="it does not evaluate, and trains no head on a frozen network"),
    )
}

_ALL = tuple(PEERS)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "frozen", "frozen", "A new last layer on a frozen MobileNetV2", "mobilenet_v2", "mobilenetv2_100", 10, _ALL
        ),
        Workload(
            "vgg",
            "vgg",
            "A new classifier in the classic VGG style (three linear layers) on the frozen convolutions of VGG16",
            "vgg16",
            "vgg16",
            5,
            tuple(name for name in _ALL if not name.startswith("timm")),  # timm would train all layers of VGG16
        ),
        Workload(
            "full",
            "full",
            "Full training of ResNet18",
            "resnet18",
            "resnet18",
            5,
            tuple(name for name in _ALL if name != "warm"),  # no part is frozen, so no features are cached
        ),
        Workload(
            "small",
            "full",
            "Full training of ResNet18 in batches of 4",
            "resnet18",
            "resnet18",
            5,
            ("tutorial", "limit"),
            batch_size=4,
        ),
    )
}
