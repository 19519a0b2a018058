"""Chunks of a streamed answer, read into deltas."""
