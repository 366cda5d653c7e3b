"""The plugin keeps every promise. Its weights are in the wheel, so the tests also check them."""

from __future__ import annotations

from zoo.testing import conformance

test_conformance = conformance("tiny", level="network")
