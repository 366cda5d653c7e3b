"""From a spec to an nn.Module: build it, load its weights, replace its head and freeze its blocks."""
