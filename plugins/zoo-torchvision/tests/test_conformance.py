"""What the specs declare is true of every backbone, as far as the meta device tells.

`zoo check torchvision` goes further: docs/conformance.md has what it found.
"""

from __future__ import annotations

import pytest

from zoo.testing import conformance

test_conformance = conformance("torchvision", level="meta", each_family=True)
test_conformance_of_every_backbone = pytest.mark.breadth(conformance("torchvision", level="meta"))
