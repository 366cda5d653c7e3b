"""A ``--data`` value becomes examined images, these become splits, and splits become batches."""
