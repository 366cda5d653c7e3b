"""Everything that the plugin declares is true; its weights lie in the wheel, so these are looked at too."""

from __future__ import annotations

from zoo.testing import conformance

test_conformance = conformance("tiny", level="network")
