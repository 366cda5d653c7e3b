"""Checks of training."""

from __future__ import annotations

from zoo.errors import TrainingError
from zoo.models.head import is_below
from zoo.testing.backbone_under_test import BackboneUnderTest, generate_images
from zoo.testing.passes import compute_gradients
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import shorten


def head(backbone: BackboneUnderTest) -> None:
    """Train as ``--train head`` does, with zoo's own engine."""
    try:
        changed = backbone.head_training.changed
    except TrainingError as error:
        fault = str(error).partition(", learning rate")[0]
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
    In that case, the gradients are computed again with images of the declared size.
    """
    model, labels = backbone.network.model, backbone.labels
    for images in (backbone.images, generate_images(backbone.spec.input.size)):
        backbone.freeze("all").train()
        try:
            gradients = compute_gradients(model, (images, labels), backbone.spec.aux_weight)
        except RuntimeError as error:
            raise CheckFailed(f"it cannot be trained: {error}; let gradients through.") from error
        if missing := [name for name, gradient in gradients.items() if gradient is None]:
            needs_weight = backbone.network.head.aux_paths and not backbone.spec.aux_weight
            advice = "declare aux_weight" if needs_weight else "use it in forward(), or remove it"
            raise CheckFailed(f"no gradient reaches {shorten(missing)}; {advice}.")
        infinite = [name for name, found in gradients.items() if found is not None and not found.isfinite().all()]
        if not infinite:
            return
    raise CheckFailed(f"the gradient of {shorten(infinite)} is not finite; fix forward().")
