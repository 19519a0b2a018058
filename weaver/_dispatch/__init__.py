"""The port to what hands runs to workers."""
