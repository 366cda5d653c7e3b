"""The checks: one module for each subject, one function for each promise of `zoo.testing.promises`."""
