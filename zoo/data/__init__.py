"""From a ``--data`` value to batches: find the images, examine them, split them and load them."""
