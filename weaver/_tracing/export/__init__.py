"""Sending spans to exporters, the store and the live view."""
