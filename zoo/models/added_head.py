"""Models without a head, such as the image towers of CLIP, to which zoo adds one."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.output_field import describe_output, list_tensor_fields, select_field
from zoo.plugin import BackboneSpec


def add_head(backbone: BackboneSpec, model: nn.Module) -> nn.Module:
    """Add a linear head to a model that returns features.

    The head is a new submodule, which a forward hook calls on the features. The model keeps its class and the names of
    its parameters, so it can be loaded without the head, too.

    Args:
        backbone: The backbone of the model, whose spec declares ``features``.
        model: The model, which is changed in place.

    Returns:
        The same model, which now returns logits of shape (N, num_classes).

    Raises:
        PluginError: If the model already has something under the name of the head.
    """
    assert backbone.features is not None
    assert isinstance(backbone.head, tuple), "the spec was checked"
    (name,) = backbone.head
    if hasattr(model, name):
        raise PluginError(
            f"{backbone.name} has no head, but its {type(model).__name__} already has {name!r}; declare another name "
            "in head, under which zoo adds one."
        )
    model.add_module(name, nn.Linear(backbone.features, backbone.num_classes))
    # A lambda could not be pickled with the model.
    model.register_forward_hook(partial(_run_head, name, backbone.features, backbone.output_field))
    return model


def _run_head(
    name: str, width: int, field: str | None, model: nn.Module, _inputs: object, output: object
) -> Tensor:  # fmt: skip
    features = output if field is None else select_field(field, model, output, "features")
    if not isinstance(features, Tensor) or features.ndim != 2 or features.shape[1] != width:
        raise PluginError(
            f"features={width} does not match {type(model).__name__}, which returns {describe_output(features)} "
            f"instead of features of shape (N, {width}); {_advise(features)}."
        )
    logits: Tensor = model.get_submodule(name)(features)
    return logits


def _advise(found: object) -> str:
    """Return what to declare for a model that returns something else than features of the declared shape."""
    if isinstance(found, Tensor) and found.ndim == 2:
        return f"declare features={found.shape[1]}"
    if isinstance(found, Tensor):
        return "register a hook in build that pools them"
    if list_tensor_fields(found):
        return "declare the one that holds the features as output_field"
    return "register a hook in build that returns the features"
