"""Comparison of zoo's preprocessing with upstream's own."""
