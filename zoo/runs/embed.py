"""Compute the features of images with a run or with a backbone."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

from zoo.errors import OptionError
from zoo.files.hub import is_hub_address
from zoo.files.paths import expand_user
from zoo.progress import Progress, Silent
from zoo.registry.registry import Registry, open_registry
from zoo.runs.classifier import load
from zoo.runs.embeddings import Embeddings, embed_images
from zoo.runs.loaded_model import load_backbone


def embed(  # noqa: PLR0913  # a public entry point; all but two arguments are keywords
    model: str | PathLike[str], images: Any, *, block: str | None = None, weights: str | None = None,
    columns: str | None = None, device: str = "auto", registry: Registry | None = None,
    progress: Progress | None = None,
) -> Embeddings:  # fmt: skip
    """Compute the features of images with the model of a run, or with a backbone as it was published.

    Args:
        model: Run folder, or ``hf://owner/name`` as for `zoo.load`, or the name of a backbone as for `zoo.build`.
        images: Images, as for `Classifier.predict`.
        block: Name of a block, whose output is used. Default: the input of the head.
        weights: Weights of the backbone, as for `zoo.build`.
        columns: Names of the image column and the label column of a table.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        registry: Registry in which names are looked up. Default: all installed plugins.
        progress: Receives messages. Default: they are discarded.

    Raises:
        DataError: If the images cannot be used, or none of them can be read.
        NameNotFound: If there is no such backbone, block or data set.
        OptionError: If ``weights`` is given for a run, or the block does not return features.
        RunError: If the run cannot be loaded.
    """
    registry, progress = registry or open_registry(), progress or Silent()
    if not is_hub_address(model) and not expand_user(model).exists():
        loaded = load_backbone(fspath(model), weights, device, registry, progress)
        return embed_images(loaded, images, block, columns, registry=registry, progress=progress)
    if weights is not None:
        raise OptionError(f"`weights` applies only to a backbone, but {fspath(model)!r} is a run; leave it out.")
    classifier = load(model, device=device, registry=registry, progress=progress)
    return classifier.embed(images, block, columns=columns, registry=registry, progress=progress)
