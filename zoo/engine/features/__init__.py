"""Compute the frozen part of a network once: split the network, cache its features, train the remaining part."""
