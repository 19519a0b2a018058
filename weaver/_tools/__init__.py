"""Tools that threads may call."""
