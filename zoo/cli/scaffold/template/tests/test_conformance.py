"""One test case for each promise of the plugin."""

from zoo.testing import conformance

test_conformance = conformance("acme")
