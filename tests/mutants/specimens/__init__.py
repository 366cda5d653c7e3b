"""Plugins to try the conformance kit on: good ones, and mutants, which are good ones but for one small change."""
