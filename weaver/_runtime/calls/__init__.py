"""Calls of models and tools: reserved, traced, counted, journaled."""
