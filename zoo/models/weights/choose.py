"""Chooses the initial weights of a model from the option ``weights`` and the tag in the backbone's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from zoo.errors import OptionError
from zoo.plugin import BackboneSpec, InputSpec, WeightsSpec
from zoo.plugin.weights_spec import FILE_SUFFIXES
from zoo.registry.registry import Resolved


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
    #: License in the metadata of a run's own file, or None.
    file_license: str | None = None
    #: Prefixes of the parameters of upstream's model that a run's own file lacks.
    file_lacks: tuple[str, ...] = ()

    @property
    def license(self) -> str | None:
        """The license of the weights, or None if it is unknown."""
        return self.weights.license if self.weights else self.file_license

    @property
    def lacks(self) -> tuple[str, ...]:
        """Prefixes of parameter names, besides those of the head, for which there are no usable values."""
        return self.weights.lacks if self.weights else self.file_lacks

    @property
    def is_random(self) -> bool:
        """Whether the model keeps its random initialization."""
        return self.weights is None and self.file is None


def input_for(backbone: BackboneSpec, tag: str | None) -> InputSpec:
    """Return the input that the weights with a tag expect: their own if they declare one, else that of the backbone."""
    weights = backbone.get_weights(tag) if tag else None
    return backbone.input if weights is None or weights.input is None else weights.input


def choose_weights(resolved: Resolved, asked: str | None) -> WeightsSource:
    """Return the initial weights.

    Args:
        resolved: The backbone.
        asked: ``DEFAULT``, a tag, ``none`` or a file; None means the tag in the name, or ``DEFAULT`` without one.

    Raises:
        NameNotFound: If there are no such weights.
        OptionError: If ``asked`` is None and the backbone has no published weights.
    """
    backbone = resolved.backbone
    if asked == "none":
        return WeightsSource("none", resolved.tag)
    if asked is not None and (asked.endswith(FILE_SUFFIXES) or "/" in asked):
        return _choose_file(resolved, Path(asked).expanduser())
    if asked is None and resolved.tag is None and not backbone.weights:
        raise OptionError(
            f"{backbone.name} has no published weights; set `weights` to a .safetensors file, or to none for random "
            "weights."
        )
    weights = backbone.get_weights(asked or resolved.tag or "DEFAULT")
    return WeightsSource(weights.tag, weights.tag, weights=weights)


def _choose_file(resolved: Resolved, path: Path) -> WeightsSource:
    """Return the weights in a file. A run's own file states its license and the design of its head."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        metadata = {}  # reading the tensors reports the error
    metadata.setdefault("weights_license", metadata.get("weights_licence", ""))  # the key in version 0.1
    license, head = (metadata.get(field, "").strip('"') for field in ("weights_license", "head"))
    has_upstream_head = head in ("", "linear")
    return WeightsSource(
        path.name,
        resolved.tag,
        file=path,
        file_license=license if license not in ("", "none") else None,
        file_lacks=() if has_upstream_head else _list_replaced(resolved.backbone),
    )


def _list_replaced(backbone: BackboneSpec) -> tuple[str, ...]:
    """Return the paths that an MLP head replaces, as far as they are known before the model is built."""
    if backbone.classifier is not None:
        return (backbone.classifier,)
    return () if callable(backbone.head) else backbone.head
