"""The training loop and its parts. They do not depend on backbone names, plugins, run folders or the terminal."""
