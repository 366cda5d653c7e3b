"""Processes that run a plugin's code, and records of its side effects."""
