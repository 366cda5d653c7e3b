"""One test case for each conformance check."""

from zoo.testing import conformance

test_conformance = conformance("acme")
