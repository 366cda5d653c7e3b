"""Choose the initial weights of a model from the ``weights`` option and the tag in the backbone's name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError

from zoo.errors import OptionError, WeightsError
from zoo.files.hub import MODEL, HubAddress, is_hub_address, pull_run
from zoo.files.paths import expand_user
from zoo.files.validation import Invalid
from zoo.models.weights.header import Header, find_header
from zoo.plugin import BackboneSpec, InputSpec, WeightsSpec
from zoo.plugin.weights_spec import FILE_SUFFIXES
from zoo.progress import Progress, Silent
from zoo.registry.resolved import Resolved


@dataclass(frozen=True)
class WeightsSource:
    """Initial weights of a model: published weights, a file, or random values."""

    #: Name that the user sees: a tag, ``none`` or the name of a file.
    label: str
    #: Tag that is passed to the backbone's ``build``, or None.
    tag: str | None = None
    #: Published weights, or None.
    weights: WeightsSpec | None = None
    #: File that the user passed, or None.
    file: Path | None = None
    #: Header of the file if a run wrote it, or None.
    header: Header | None = None
    #: Prefix that the names in the file have and the model's names do not; known once the file has been loaded.
    prefix: str = ""
    #: Prefixes of upstream's parameters that are missing from a run's file.
    file_lacks: tuple[str, ...] = ()
    #: Whether the model keeps the weights with which the user's own network was built.
    is_own: bool = False

    @property
    def license(self) -> str | None:
        """The license of the weights, or None if it is unknown."""
        if self.header and self.header.weights_license not in ("none", "unknown"):
            return self.header.weights_license
        return self.weights.license if self.weights else None

    @property
    def lacks(self) -> tuple[str, ...]:
        """Prefixes of parameter names, besides the head's, for which there are no usable values."""
        return self.weights.lacks if self.weights else self.file_lacks

    @property
    def is_random(self) -> bool:
        """Whether the model keeps its random initialization."""
        return self.weights is None and self.file is None and not self.is_own


def choose_input(backbone: BackboneSpec, source: WeightsSource) -> InputSpec:
    """Return the input that the initial weights expect."""
    return source.header.input if source.header else input_for(backbone, source.tag)


def input_for(backbone: BackboneSpec, tag: str | None) -> InputSpec:
    """Return the input that the weights with a tag expect: their own if they declare one, else the backbone's."""
    weights = backbone.get_weights(tag) if tag else None
    return backbone.input if weights is None or weights.input is None else weights.input


def choose_weights(resolved: Resolved, asked: str | None, progress: Progress | None = None) -> WeightsSource:
    """Return the initial weights.

    Args:
        resolved: The backbone.
        asked: ``DEFAULT``, a tag, ``none``, a file, or the address of a run on the Hub; None means the tag in the name,
            or ``DEFAULT`` without one.
        progress: Receives a message if the weights are on the Hub. Default: it is discarded.

    Raises:
        DownloadError: If the weights are on the Hub and cannot be fetched.
        NameNotFound: If there are no such weights.
        OptionError: If ``asked`` is None and the backbone has no published weights, or if huggingface_hub is missing.
        RunError: If there is no such run on the Hub.
        WeightsError: If ``asked`` is the folder of a run, or a run with a different backbone or tag wrote the file.
    """
    backbone = resolved.backbone
    if resolved.origin and asked is None:
        return WeightsSource("own", is_own=True)
    if asked == "none":
        return WeightsSource("none", resolved.tag)
    if is_hub_address(asked):
        return _choose_on_hub(resolved, HubAddress.parse(asked or ""), progress or Silent())
    if asked is not None and asked not in ("DEFAULT", *(weights.tag for weights in backbone.weights)):
        _refuse_run_folder(asked)
    if asked is not None and (asked.lower().endswith(FILE_SUFFIXES) or "/" in asked):
        return _choose_file(resolved, expand_user(asked))
    if asked is None and resolved.tag is None and not backbone.weights:
        raise OptionError(
            f"{backbone.name} has no published weights; set `weights` to a .safetensors file, or to none for random "
            "weights."
        )
    weights = backbone.get_weights(asked or resolved.tag or "DEFAULT")
    return WeightsSource(weights.tag, weights.tag, weights=weights)


def _refuse_run_folder(asked: str) -> None:
    """Raise WeightsError if ``asked`` is the folder of a run, which contains the weights."""
    path = expand_user(asked) / MODEL
    if os.path.isfile(path):  # noqa: PTH113  # Unlike Path.is_file, it accepts text that cannot be a path.
        raise WeightsError(f"{asked!r} is the folder of a run; pass the model in it, {str(path)!r}.")


def _choose_on_hub(resolved: Resolved, address: HubAddress, progress: Progress) -> WeightsSource:
    """Return the weights of a run on the Hub; their label names the commit."""
    folder = pull_run(address, progress)
    label = str(HubAddress(address.repo, folder.name))
    return replace(_choose_file(resolved, folder / MODEL), label=label)


def _choose_file(resolved: Resolved, path: Path) -> WeightsSource:
    """Return the weights in a file. If a run wrote the file, its header overrides the backbone's tag and input.

    Raises:
        WeightsError: If a run with a different backbone or tag wrote the file.
    """
    header = _find_header(path)
    if header is None:
        return WeightsSource(path.name, resolved.tag, file=path)
    backbone = resolved.backbone
    if header.backbone != backbone.name:
        raise WeightsError(
            f"{path} is the model of a run with {header.backbone}, not with {backbone.name}; "
            f"fine-tune {header.backbone} to continue from it."
        )
    if resolved.tag is not None and resolved.tag != header.tag:
        raise WeightsError(
            f"{path} is the model of a run with {backbone.name}@{header.tag or header.weights}, not with "
            f"{resolved.name}; leave out the tag."
        )
    has_upstream_head = header.head == "linear"
    lacks = () if has_upstream_head else _list_replaced(backbone)
    return WeightsSource(path.name, header.tag, file=path, header=header, file_lacks=lacks)


def _find_header(path: Path) -> Header | None:
    if not os.path.isfile(path):  # noqa: PTH113  # as above; opening a pipe would wait forever
        return None
    try:
        return find_header(path)
    except (OSError, SafetensorError):
        return None  # Reading the tensors reports the error.
    except Invalid as error:
        raise WeightsError(f"{path} {error}.") from error


def _list_replaced(backbone: BackboneSpec) -> tuple[str, ...]:
    """Return the paths that an MLP head replaces, as far as they are known before the model is built."""
    if backbone.classifier is not None:
        return (backbone.classifier,)
    return () if callable(backbone.head) else backbone.head
