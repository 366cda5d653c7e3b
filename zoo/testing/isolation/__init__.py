"""Processes that run a plugin's code, and the records of its side effects."""
