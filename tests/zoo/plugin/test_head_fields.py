from __future__ import annotations

from typing import Any

import pytest

from field_values import GOOD
from zoo.errors import PluginError
from zoo.plugin import BackboneSpec, WeightsSpec

WEIGHTS = WeightsSpec(tag="V1", url="https://example.org/w.pth", license="MIT")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"features": 8, "head": ("a", "b")}, "head=('a', 'b'); it must be a tuple of one name without dots"),
        ({"features": 8, "head": ("a.b",)}, "head=('a.b',); it must be a tuple of one name without dots"),
        ({"features": 8, "head": lambda _model: ("fc",)}, "it must be a tuple of one name without dots"),
        ({"features": 8, "classifier": "fc"}, "classifier='fc'; it must be None, because"),
        ({"features": 8, "aux_heads": ("aux",)}, "aux_heads=('aux',); it must be (), because"),
        ({"features": 8, "weights": (WEIGHTS,)}, "weights=['V1']; it must be a tuple of weights with num_classes=None"),
        ({"output_field": "logits", "aux_heads": ("aux",)}, "it must be (), because the model returns only"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(PluginError) as caught:
        BackboneSpec(**{**GOOD[BackboneSpec], **fields})
    assert says in str(caught.value)
