"""Promises of learning."""

from __future__ import annotations

from torch import Tensor

from zoo.engine.criterion import Criterion
from zoo.errors import TrainingError
from zoo.models.head import is_below
from zoo.testing.backbone_under_test import BackboneUnderTest, draw_images
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import name_some
from zoo.testing.training_steps import choose_images


def head(backbone: BackboneUnderTest) -> None:
    """``--train head``, by zoo's own engine."""
    try:
        moved = backbone.head_training.moved
    except TrainingError as error:
        said = str(error).partition(", learning rate")[0]
        raise CheckFailed(f"its head alone cannot be trained: {said}; let forward() overflow nowhere.") from error
    except RuntimeError as error:
        raise CheckFailed(f"its head alone cannot be trained: {error}; let gradients reach it.") from error
    for path in backbone.network.head.paths:
        if not any(is_below(name, path) for name in moved):
            raise CheckFailed(f"two steps of training leave the head {path} as it was; let gradients reach it.")


def all(backbone: BackboneUnderTest) -> None:  # noqa: A001  # a check's name
    """``--train all``: one pass backwards.

    At the smallest legal size a batch norm may see no more than two values, which alone can make a gradient overflow:
    then the declared size decides.
    """
    own_size = draw_images(backbone.spec.input.size)
    for images in (backbone.images, own_size):
        missing, infinite = _find_faulty_gradients(backbone, images)
        if missing:
            needs_weight = backbone.network.head.aux_paths and not backbone.spec.aux_weight
            cure = "give aux_weight" if needs_weight else "use it in forward(), or drop it"
            raise CheckFailed(f"{name_some(missing)} gets no gradient; {cure}.")
        if not infinite:
            return
    raise CheckFailed(f"the gradient of {name_some(infinite)} is not finite; mend forward().")


def _find_faulty_gradients(backbone: BackboneUnderTest, images: Tensor) -> tuple[list[str], list[str]]:
    """Go forwards and backwards once; returns which parameters get no gradient, and which one that is not finite."""
    labels = backbone.labels
    backbone.forget_predictions()  # batch norms take in what they see
    backbone.freeze("all").train()
    model = backbone.network.model
    images = choose_images(model, images)
    loss, _ = Criterion(aux_weight=backbone.spec.aux_weight)(model(images), labels[: len(images)])
    model.zero_grad(set_to_none=True)
    try:
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    except RuntimeError as error:
        raise CheckFailed(f"it cannot be trained: {error}; let gradients through.") from error
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    missing = [name for name, gradient in gradients.items() if gradient is None]
    return missing, [name for name, found in gradients.items() if found is not None and not found.isfinite().all()]
