"""Every promise of the plugin is kept. Its weights are in the wheel, so they are checked too."""

from __future__ import annotations

from zoo.testing import conformance

test_conformance = conformance("tiny", level="network")
