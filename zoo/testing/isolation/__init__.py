"""Processes and side effects: what a plugin does is observed where it harms nobody."""
