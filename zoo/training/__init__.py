"""Training, from the name of a backbone to a finished run."""
