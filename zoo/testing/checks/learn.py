"""Checks of training."""

from __future__ import annotations

from zoo.errors import TrainingError
from zoo.models.head import is_below
from zoo.testing.backbone_under_test import BackboneUnderTest, generate_images
from zoo.testing.declared_parameters import list_declared
from zoo.testing.passes import compute_gradients
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import shorten


def head(backbone: BackboneUnderTest) -> None:
    """Train as ``--train head`` does, with zoo's own engine."""
    try:
        changed = backbone.head_training.changed
    except TrainingError as error:
        fault = str(error).partition(", learning rate")[0]
        if fault.startswith("no gradient"):
            raise CheckFailed("its head cannot be trained on its own; let gradients reach it.") from error
        raise CheckFailed(
            f"its head cannot be trained on its own: {fault}; keep forward() from overflowing."
        ) from error
    except RuntimeError as error:
        raise CheckFailed(f"its head cannot be trained on its own: {error}; let gradients reach it.") from error
    for path in backbone.network.head.trained:
        if not any(is_below(name, path) for name in changed):
            raise CheckFailed(f"two training steps do not change the head {path}; let gradients reach it.")


def all(backbone: BackboneUnderTest) -> None:  # noqa: A001  # a check's name
    """Run one backward pass as ``--train all`` does.

    With images of the smallest size, a batch norm may see only two values, which alone can make a gradient overflow.
    In that case, the gradients are computed again with images of the declared size. Unused parameters are trainable
    here, which shows whether a gradient reaches them.
    """
    network, labels = backbone.network, backbone.labels
    model, unused = network.model, list_declared(backbone, "unused")
    for images in (backbone.images, generate_images(backbone.spec.input.size)):
        backbone.freeze("all").train()
        try:
            gradients = compute_gradients(model, (images, labels), backbone.spec.aux_weight)
        except RuntimeError as error:
            raise CheckFailed(f"it cannot be trained: {error}; let gradients through.") from error
        reached = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        if missing := [name for name in gradients if name not in reached.keys() | unused | network.fixed]:
            needs_weight = network.head.aux_paths and not backbone.spec.aux_weight
            advice = "declare aux_weight" if needs_weight else "use it in forward(), or declare it in unused"
            raise CheckFailed(f"no gradient reaches {shorten(missing)}; {advice}.")
        if used := [name for name in reached if name in unused]:
            raise CheckFailed(f"unused declares {shorten(used)}, which a gradient reaches; leave it out.")
        infinite = [name for name, gradient in reached.items() if not gradient.isfinite().all()]
        if not infinite:
            return
    raise CheckFailed(f"the gradient of {shorten(infinite)} is not finite; fix forward().")
