"""Installed plugins: found, loaded, and isolated from zoo and from each other."""
