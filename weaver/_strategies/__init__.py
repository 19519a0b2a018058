"""Strategies: one file per method of answering a task."""
