"""Recording spans and metrics."""
