"""The specs of all backbones pass all checks that run on the meta device. The default tests check one of each kind.

`zoo check torchvision` checks more. Its results are in docs/conformance.md.
"""

from __future__ import annotations

import pytest

from zoo.testing import conformance

# A small network, one with auxiliary heads, and a transformer. The slow tests and .ci/run check the other families.
test_conformance = conformance("torchvision", level="meta", pattern="resnet18")
test_conformance_of_auxiliary_heads = conformance("torchvision", level="meta", pattern="googlenet")
test_conformance_of_a_transformer = conformance("torchvision", level="meta", pattern="swin_t")
test_conformance_of_every_backbone = pytest.mark.breadth(conformance("torchvision", level="meta"))
