"""Plugins for tests of the conformance kit: good ones, and mutants, each of which differs in one small change."""
