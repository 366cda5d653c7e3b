"""Published weights: the first with the input of the backbone, the second with its own."""

from __future__ import annotations

from zoo.plugin import InputSpec, WeightsSpec

ONE = WeightsSpec(tag="ONE", url=None, license="MIT", num_classes=10)
TWO = WeightsSpec(tag="TWO", url=None, license="MIT", num_classes=10, input=InputSpec(size=(3, 32, 32), resize=40))
