"""Weights: choose them, locate their file, read it, and load it into a model."""
