"""The training loop and its parts. It does not depend on names, plugins, run folders or the terminal."""
