"""The one training loop and what serves it. It knows nothing of names, plugins, files or the terminal."""
