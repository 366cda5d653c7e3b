"""The frozen part of a network computed once: split the model, cache its features, train the rest."""
