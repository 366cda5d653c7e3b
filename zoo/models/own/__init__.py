"""The user's own networks, which no plugin provides."""
