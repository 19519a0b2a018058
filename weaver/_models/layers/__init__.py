"""Layers around a model: retry, rate limit, fallback, prices."""
