"""Training, from a backbone name to a finished run."""
