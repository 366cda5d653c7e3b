"""Every promise that the plugin makes, a case for each."""

from zoo.testing import conformance

test_conformance = conformance("acme")
