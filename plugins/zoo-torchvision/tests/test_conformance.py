"""The specs of all backbones pass all checks that run on the meta device.

`zoo check torchvision` checks more. Its results are in docs/conformance.md.
"""

from __future__ import annotations

import pytest

from zoo.testing import conformance

test_conformance = conformance("torchvision", level="meta", each_family=True)
test_conformance_of_every_backbone = pytest.mark.breadth(conformance("torchvision", level="meta"))
