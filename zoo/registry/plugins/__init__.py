"""Find and load installed plugins, and isolate them from zoo and from each other."""
