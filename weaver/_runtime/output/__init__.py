"""Typed output: schemas for models, and replies read into the type."""
