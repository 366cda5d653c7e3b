"""What the specs declare is true of every backbone, as far as the meta device tells.

`zoo check torchvision` goes further: docs/conformance.md has what it found.
"""

from __future__ import annotations

from zoo.testing import conformance

test_conformance = conformance("torchvision", level="meta")
