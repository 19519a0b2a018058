"""A cache of replies by exact request."""
