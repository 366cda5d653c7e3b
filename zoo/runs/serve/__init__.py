"""A page and a JSON endpoint for one run, on a small ASGI server."""
