"""Deciding whether to fork, and into what."""
