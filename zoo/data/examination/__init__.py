"""What is known about the images of a data set before a model is trained on them."""
