"""Weaver as a server for other programs."""
