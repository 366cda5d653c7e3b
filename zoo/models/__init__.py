"""From a spec to a module: build it, load weights, replace the head, freeze blocks."""
