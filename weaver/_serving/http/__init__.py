"""What every endpoint needs of HTTP: bodies, errors, event streams, metrics."""
