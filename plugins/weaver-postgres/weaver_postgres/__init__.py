"""Durable runs in PostgreSQL, and workers for them on any number of machines."""
