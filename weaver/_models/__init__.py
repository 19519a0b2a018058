"""Models: one protocol, adapters for endpoints, and layers around a call."""
