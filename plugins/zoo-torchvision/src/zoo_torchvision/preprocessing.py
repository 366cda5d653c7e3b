"""torchvision's own preprocessing, with which ``zoo check`` compares the inputs in the catalog."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from zoo_torchvision.catalog import get_facts, get_weights_facts
from zoo_torchvision.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from torch import Tensor


def build_preprocessing(name: str, tag: str | None) -> Callable[[Image.Image], Tensor]:
    """Return the transforms of torchvision's weights ``tag``, or of the default weights if ``tag`` is None.

    For the two networks that convert their input if they are built with weights, this conversion is included. zoo's
    models never convert; families.py explains why.

    Raises:
        NameNotFound: If the network has no weights with this tag.
    """
    from torchvision.models import get_model_builder, get_model_weights  # type: ignore[import-untyped]  # no types

    transforms = get_model_weights(name)[get_weights_facts(name, tag)["tag"]].transforms()
    if not FAMILIES[get_facts(name)["module"]].transform_input:
        return cast("Callable[[Image.Image], Tensor]", transforms)
    network = get_model_builder(name).__annotations__["return"]

    def preprocess(image: Image.Image) -> Tensor:
        # A method of the class on a stand-in, because building the network takes seconds.
        images = network._transform_input(SimpleNamespace(transform_input=True), transforms(image)[None])  # noqa: SLF001  # torchvision has no other function for it
        return cast("Tensor", images[0])

    return preprocess
