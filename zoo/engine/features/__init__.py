"""Compute the frozen part of a network once: split the network, cache the features, and train the remaining part."""
