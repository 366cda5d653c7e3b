"""Compute the features of a network's frozen part once: split the network, cache the features, train the other part."""
