"""Weights: choose them, locate them on disk or on the web, read them, load them into a model."""
