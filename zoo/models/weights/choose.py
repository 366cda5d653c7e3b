"""Which weights a model starts from: what ``--weights`` and the tag in a name mean."""

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
    """Where training starts from: published weights, a file, or random ones."""

    #: What the user sees: a tag, ``none`` or the name of a file.
    label: str
    #: The tag that the architecture is built for, if any.
    tag: str | None = None
    weights: WeightsSpec | None = None
    file: Path | None = None
    #: What a run's own file says of itself: its license, and what of upstream's network it has replaced.
    file_license: str | None = None
    file_lacks: tuple[str, ...] = ()

    @property
    def license(self) -> str | None:
        """License of what is loaded, where it is known."""
        return self.weights.license if self.weights else self.file_license

    @property
    def lacks(self) -> tuple[str, ...]:
        """Parameter-name prefixes besides the head that the tensors lack or hold without meaning."""
        return self.weights.lacks if self.weights else self.file_lacks

    @property
    def is_random(self) -> bool:
        """Whether nothing is loaded."""
        return self.weights is None and self.file is None


def input_for(backbone: BackboneSpec, tag: str | None) -> InputSpec:
    """Return the input that weights of that tag expect, or the backbone's own."""
    weights = backbone.get_weights(tag) if tag else None
    return backbone.input if weights is None or weights.input is None else weights.input


def choose_weights(resolved: Resolved, asked: str | None) -> WeightsSource:
    """Return what ``--weights`` means: ``DEFAULT``, a tag, ``none`` or a file; None: the name's tag, else ``DEFAULT``.

    Raises:
        NameNotFound: there are no such weights.
        OptionError: nothing was asked for, and the backbone has no published weights.
    """
    backbone = resolved.backbone
    if asked == "none":
        return WeightsSource("none", resolved.tag)
    if asked is not None and (asked.endswith(FILE_SUFFIXES) or "/" in asked):
        return _start_from_file(resolved, Path(asked).expanduser())
    if asked is None and resolved.tag is None and not backbone.weights:
        raise OptionError(
            f"{backbone.name} has no published weights; give a .safetensors file, or none for random ones."
        )
    weights = backbone.get_weights(asked or resolved.tag or "DEFAULT")
    return WeightsSource(weights.tag, weights.tag, weights=weights)


def _start_from_file(resolved: Resolved, path: Path) -> WeightsSource:
    """Return a start from a file; one of a run says under which license it is, and whether its head is upstream's."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        metadata = {}  # what is wrong with the file is said when it is read
    metadata.setdefault("weights_license", metadata.get("weights_licence", ""))  # as version 0.1 wrote it
    license, head = (metadata.get(field, "").strip('"') for field in ("weights_license", "head"))
    is_upstreams = head in ("", "linear")
    return WeightsSource(
        path.name,
        resolved.tag,
        file=path,
        file_license=license if license not in ("", "none") else None,
        file_lacks=() if is_upstreams else _list_replaced(resolved.backbone),
    )


def _list_replaced(backbone: BackboneSpec) -> tuple[str, ...]:
    """List what an ``mlp`` head stands in place of, as far as that is known before the model is built."""
    if backbone.classifier is not None:
        return (backbone.classifier,)
    return () if callable(backbone.head) else backbone.head
