"""Commands that start, serve and continue runs."""
