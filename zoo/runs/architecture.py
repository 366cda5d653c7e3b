"""Build the network of a run again, without its weights: from the plugin, or from what the user passes as ``model``."""

from __future__ import annotations

import shlex
from os import PathLike
from typing import NamedTuple

import torch
from torch import nn

from zoo.errors import OptionError, RunError
from zoo.models.build import build_model
from zoo.models.head import Head, replace_head
from zoo.models.own.own_network import OwnNetwork, open_own, rebuild_own
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec
from zoo.progress import Progress
from zoo.registry.head_design import HeadDesign
from zoo.registry.origin import Origin
from zoo.registry.registry import Registry

#: What the user passes as ``model``: their own network, or the file and the function that build it.
Model = str | PathLike[str] | nn.Module


class Rebuilt(NamedTuple):
    """The network of a run without its weights. Its head is on the meta device."""

    backbone: BackboneSpec
    model: nn.Module
    head: Head


def rebuild(header: Header, model: Model | None, registry: Registry, progress: Progress) -> Rebuilt:
    """Build the network that a header describes.

    A header never causes code to run: the user's own network is built only from ``model``.

    Args:
        header: Header of the run's model.
        model: The user's own network; None for the backbone of a plugin.
        registry: Registry in which the backbone is looked up.
        progress: Receives a note if the file of the network has changed since the run.

    Returns:
        The network. Its head is on the meta device, so that a damaged header takes neither memory nor time.

    Raises:
        NameNotFound: If the plugin of the backbone is not installed.
        OptionError: If ``model`` is set for the backbone of a plugin, or is not a network.
        RunError: If ``model`` is missing.
    """
    design = HeadDesign.parse(header.head)
    if header.network:
        own = require_own(header, model, progress)
        with torch.random.fork_rng([]):
            return Rebuilt(*rebuild_own(own, header.network, len(header.classes), design))
    if model is not None:
        raise OptionError(f"the run was trained with {header.backbone}, which a plugin provides; omit `model`.")
    resolved = registry.resolve(header.backbone)
    with torch.random.fork_rng([]):  # The initial weights are random. This keeps the caller's generator unchanged.
        built = build_model(resolved.backbone, header.tag, header.input.size[0])
        head = replace_head(resolved.backbone, built, len(header.classes), design, torch.device("meta"))
    return Rebuilt(resolved.backbone, built, head)


def require_own(header: Header, model: Model | None, progress: Progress) -> OwnNetwork:
    """Return the user's own network for a run, and report whether its file has changed.

    Raises:
        OptionError: If ``model`` is not a network.
        RunError: If ``model`` is missing.
    """
    origin = header.network
    assert origin is not None
    if model is None:
        raise RunError(
            f"the run was trained with your own network, {origin.describe()}, and zoo never runs code that a run "
            f"names; set `model` to {_advise(origin)}."
        )
    own = open_own(model)
    if own is None:
        raise OptionError(f"`model` must be FILE.py:FUNCTION or an nn.Module, got {model!r}.")
    if own.file and origin.sha256 and own.file.sha256 != origin.sha256:
        progress.say(
            f"note: {own.file.file} is not the file that the run was trained with: its SHA-256 is "
            f"{own.file.sha256[:16]}... instead of {origin.sha256[:16]}..."
        )
    return own


def _advise(origin: Origin) -> str:
    if origin.file is None:
        return "the same module, or to FILE.py:FUNCTION that returns one like it"
    return shlex.quote(f"{origin.file}:{origin.function}")
